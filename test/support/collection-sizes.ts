// How much an object holds, whatever it is: what a test of memory compares before and after. Input: any object. Output: sizes.
/** How many things there are in every collection below an object, by the names that lead there. */
export function sizesOf(root: object): Map<string, number> {
  const sizes = new Map<string, number>();
  const seen = new Set<unknown>();
  const walk = (value: unknown, path: string): void => {
    if (typeof value !== 'object' || value === null || seen.has(value)) return;
    seen.add(value);
    const items: [string, unknown][] = [];
    if (value instanceof Map) for (const [key, item] of value) items.push(['[]', key], ['[]', item]);
    else if (value instanceof Set || Array.isArray(value)) for (const item of value) items.push(['[]', item]);
    else if (ArrayBuffer.isView(value)) sizes.set(path, (sizes.get(path) ?? 0) + value.byteLength);
    else for (const [name, item] of Object.entries(value)) items.push([`.${name}`, item]);
    if (value instanceof Map || value instanceof Set || Array.isArray(value))
      sizes.set(path, (sizes.get(path) ?? 0) + (Array.isArray(value) ? value.length : value.size));
    for (const [name, item] of items) walk(item, path + name);
  };
  walk(root, '');
  return sizes;
}

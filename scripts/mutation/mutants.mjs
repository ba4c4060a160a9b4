// Mutants of a TypeScript file, all in one text: each place that a standard operator changes becomes a choice made at run time
// (runtime.mjs), so that a process loads the code once. In: a source text. Out: the text and what each number means.
// Operators: Stryker's arithmetic, equality, logical, conditional, boolean, unary, update, string, array, block, optional
// chaining, assignment. Invariant: with no mutant on the code does what it did; types and imports are left alone.
import ts from 'typescript';

/** Operator → the function of runtime.mjs, and the operators that take its place. */
const BINARY = new Map([
  ['+', ['__add', '-']],
  ['-', ['__subtract', '+']],
  ['*', ['__multiply', '/']],
  ['/', ['__divide', '*']],
  ['%', ['__remainder', '*']],
  ['<', ['__less', '<=', '>=']],
  ['<=', ['__most', '<', '>']],
  ['>', ['__more', '>=', '<=']],
  ['>=', ['__least', '>', '<']],
  ['===', ['__same', '!==']],
  ['!==', ['__other', '===']],
  ['&', ['__both', '|']],
  ['|', ['__either', '&']],
  ['^', ['__xor', '&']],
  ['<<', ['__left', '>>']],
  ['>>', ['__right', '<<']],
  ['>>>', ['__unsigned', '<<']],
]);
/** As BINARY, for those that may leave their right side alone. */
const SHORT = new Map([
  ['&&', ['__and', '||']],
  ['||', ['__or', '&&']],
  ['??', ['__nullish', '&&']],
]);
const ASSIGN = new Map([
  ['+=', '-='],
  ['-=', '+='],
  ['|=', '&='],
  ['&=', '|='],
  ['<<=', '>>='],
  ['>>>=', '<<='],
]);
const SIGN = new Map([
  [ts.SyntaxKind.ExclamationToken, ['__not', 'without !']],
  [ts.SyntaxKind.MinusToken, ['__minus', 'without sign']],
  [ts.SyntaxKind.TildeToken, ['__tilde', 'without sign']],
]);

/** False for what runs when the module is loaded. */
function inFunction(node) {
  for (let up = node.parent; up !== undefined; up = up.parent) {
    if (ts.isFunctionLike(up)) return true;
    if (ts.isPropertyDeclaration(up) && !up.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.StaticKeyword))
      return true;
  }
  return false;
}

/** The names around a node from the outermost: class and method, function, variable; '' at the top of a file. */
function placeOf(node) {
  const names = [];
  for (let up = node.parent; up !== undefined; up = up.parent) {
    const named =
      ts.isFunctionLike(up) || ts.isClassLike(up) || ts.isVariableDeclaration(up) || ts.isPropertyDeclaration(up);
    if (ts.isConstructorDeclaration(up)) names.unshift('constructor');
    else if (named && up.name !== undefined && ts.isIdentifier(up.name)) names.unshift(up.name.text);
  }
  // What a place is called by outside: its function, or its class and method.
  return names.slice(0, 2).join('.');
}

/** A literal that is a value at run time: no type, key, import. */
function isValue(node) {
  const { parent } = node;
  if (ts.isPropertyAssignment(parent) && parent.name === node) return false;
  return !ts.isLiteralTypeNode(parent) && !ts.isImportDeclaration(parent) && !ts.isExportDeclaration(parent);
}

const isType = (node) => ts.isTypeNode(node) || ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node);

/** `first`: the number of the first mutant. */
export function mutate(text, file, first) {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true, ts.ScriptKind.TS);
  const mutants = [];
  const add = (node, operator, replacement) => {
    const { line, character } = source.getLineAndCharacterOfPosition(node.getStart(source));
    mutants.push({
      id: first + mutants.length,
      file,
      line: line + 1,
      column: character + 1,
      place: placeOf(node),
      operator,
      original: node.getText(source),
      replacement,
      atLoad: !inFunction(node),
    });
    return first + mutants.length - 1;
  };
  const chosen = (id, mutated, original) => `(__on(${id}) ? (${mutated}) : (${original}))`;

  /** The text of a node with every mutant below it. */
  const print = (node) => {
    if (isType(node) || ts.isImportDeclaration(node)) return node.getText(source);
    if (ts.isBinaryExpression(node)) return binary(node) ?? inner(node);
    if (ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)) return unary(node) ?? inner(node);
    if (node.kind === ts.SyntaxKind.TrueKeyword || node.kind === ts.SyntaxKind.FalseKeyword) {
      if (ts.isLiteralTypeNode(node.parent)) return node.getText(source);
      const other = node.kind === ts.SyntaxKind.TrueKeyword ? 'false' : 'true';
      return chosen(add(node, 'boolean', other), other, node.getText(source));
    }
    if (ts.isStringLiteral(node) && isValue(node)) {
      const other = node.text === '' ? '"mutant"' : '""';
      return chosen(add(node, 'string', other), other, node.getText(source));
    }
    if (ts.isArrayLiteralExpression(node) && node.elements.length > 0 && isValue(node)) {
      return chosen(add(node, 'array', '[]'), '[]', inner(node));
    }
    if (ts.isConditionalExpression(node)) {
      return `(${condition(node.condition)} ? ${print(node.whenTrue)} : ${print(node.whenFalse)})`;
    }
    if (ts.isIfStatement(node)) {
      const rest = node.elseStatement === undefined ? '' : ` else ${print(node.elseStatement)}`;
      return `if (${condition(node.expression)}) ${print(node.thenStatement)}${rest}`;
    }
    if (ts.isPropertyAccessExpression(node) && node.questionDotToken !== undefined && node.parent.expression !== node) {
      const target = print(node.expression);
      return `__target(${add(node, 'optional chaining', '.')}, ${target})?.${node.name.text}`;
    }
    if (ts.isBlock(node) && node.statements.length > 0 && isBody(node)) {
      return `{ if (!__on(${add(node, 'block', '{}')})) ${inner(node)} }`;
    }
    return inner(node);
  };

  const inner = (node) => {
    let out = '';
    let at = node.getStart(source);
    node.forEachChild((child) => {
      out += text.slice(at, child.getStart(source)) + print(child);
      at = child.getEnd();
    });
    return out + text.slice(at, node.getEnd());
  };

  const binary = (node) => {
    const operator = node.operatorToken.getText(source);
    const assigned = ASSIGN.get(operator);
    if (assigned !== undefined) {
      const id = add(node, 'assignment', assigned);
      const [left, right] = [print(node.left), print(node.right)];
      return chosen(id, `${left} ${assigned} ${right}`, `${left} ${operator} ${right}`);
    }
    const short = SHORT.get(operator);
    if (short !== undefined) {
      const id = add(node, 'binary', short[1]);
      return `(${short[0]}(${id}, ${print(node.left)}) ? (${print(node.right)}) : __last())`;
    }
    const known = BINARY.get(operator);
    // Strings have no minus.
    if (known === undefined || (operator === '+' && [node.left, node.right].some(ts.isStringLiteralLike))) return;
    const [name, ...others] = known;
    const [id] = others.map((other) => add(node, 'binary', other));
    return `${name}(${id}, ${print(node.left)}, ${print(node.right)})`;
  };

  const unary = (node) => {
    const sign = ts.isPrefixUnaryExpression(node) ? SIGN.get(node.operator) : undefined;
    if (sign !== undefined) return `${sign[0]}(${add(node, 'unary', sign[1])}, ${print(node.operand)})`;
    const up = node.operator === ts.SyntaxKind.PlusPlusToken;
    if (!up && node.operator !== ts.SyntaxKind.MinusMinusToken) return undefined;
    const operand = node.operand.getText(source);
    const written = (sign) => (ts.isPrefixUnaryExpression(node) ? `${sign}${operand}` : `${operand}${sign}`);
    return chosen(add(node, 'update', up ? '--' : '++'), written(up ? '--' : '++'), written(up ? '++' : '--'));
  };

  const condition = (node) => {
    const id = add(node, 'conditional', 'true');
    add(node, 'conditional', 'false');
    return `__if(${id}, ${print(node)})`;
  };

  const isBody = ({ parent }) =>
    (ts.isFunctionLike(parent) && !ts.isConstructorDeclaration(parent)) || ts.isIterationStatement(parent, false);

  let out = '';
  let at = 0;
  source.forEachChild((child) => {
    out += text.slice(at, child.getStart(source)) + print(child);
    at = child.getEnd();
  });
  return { text: out + text.slice(at), mutants };
}

// Mutants of a TypeScript file, all in one text: each place that a standard operator changes becomes a choice made by
// `__mutant` at run time, so that a process loads the code once. In: a source text. Out: the text and what each number means.
// Operators: Stryker's arithmetic, equality, logical, conditional, boolean, unary, update, string, array, block, optional
// chaining, assignment. Invariant: with __mutant = 0 the code does what it did; types and imports are left alone.
import ts from 'typescript';

const BINARY = new Map([
  ['+', ['-']],
  ['-', ['+']],
  ['*', ['/']],
  ['/', ['*']],
  ['%', ['*']],
  ['<', ['<=', '>=']],
  ['<=', ['<', '>']],
  ['>', ['>=', '<=']],
  ['>=', ['>', '<']],
  ['===', ['!==']],
  ['!==', ['===']],
  ['&&', ['||']],
  ['||', ['&&']],
  ['??', ['&&']],
  ['&', ['|']],
  ['|', ['&']],
  ['^', ['&']],
  ['<<', ['>>']],
  ['>>', ['<<']],
  ['>>>', ['<<']],
]);
const ASSIGN = new Map([
  ['+=', '-='],
  ['-=', '+='],
  ['|=', '&='],
  ['&=', '|='],
  ['<<=', '>>='],
  ['>>>=', '<<='],
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

/** `first`: the number of the first mutant. */
export function mutate(text, file, first) {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true, ts.ScriptKind.TS);
  const mutants = [];
  const add = (node, operator, replacement) => {
    const { line, character } = source.getLineAndCharacterOfPosition(node.getStart(source));
    const id = first + mutants.length;
    const atLoad = !inFunction(node);
    mutants.push({
      id,
      file,
      line: line + 1,
      column: character + 1,
      operator,
      original: node.getText(source),
      replacement,
      atLoad,
    });
    return id;
  };
  const isType = (node) => ts.isTypeNode(node) || ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node);
  const chosen = (id, mutated, original) => `(__mutant === ${id} ? (${mutated}) : (${original}))`;

  /** The text of a node with every mutant below it. */
  const print = (node) => {
    if (isType(node) || ts.isImportDeclaration(node)) return node.getText(source);
    const inner = () => {
      let out = '';
      let at = node.getStart(source);
      node.forEachChild((child) => {
        out += text.slice(at, child.getStart(source)) + print(child);
        at = child.getEnd();
      });
      return out + text.slice(at, node.getEnd());
    };
    if (ts.isBinaryExpression(node)) {
      const operator = node.operatorToken.getText(source);
      const left = print(node.left);
      const right = print(node.right);
      let out = `${left} ${operator} ${right}`;
      const assigned = ASSIGN.get(operator);
      if (assigned !== undefined) return chosen(add(node, 'assignment', assigned), `${left} ${assigned} ${right}`, out);
      const strings = operator === '+' && [node.left, node.right].some(ts.isStringLiteralLike);
      for (const other of strings ? [] : (BINARY.get(operator) ?? [])) {
        out = chosen(add(node, 'binary', other), `(${left}) ${other} (${right})`, out);
      }
      return out;
    }
    if (ts.isPrefixUnaryExpression(node)) {
      const operand = print(node.operand);
      const original = `${ts.tokenToString(node.operator)}${operand}`;
      if (node.operator === ts.SyntaxKind.ExclamationToken)
        return chosen(add(node, 'unary', 'without !'), operand, original);
      if (node.operator === ts.SyntaxKind.MinusToken || node.operator === ts.SyntaxKind.TildeToken) {
        return chosen(add(node, 'unary', 'without sign'), operand, original);
      }
      if (node.operator === ts.SyntaxKind.PlusPlusToken)
        return chosen(add(node, 'update', '--'), `--${operand}`, original);
      if (node.operator === ts.SyntaxKind.MinusMinusToken)
        return chosen(add(node, 'update', '++'), `++${operand}`, original);
    }
    if (ts.isPostfixUnaryExpression(node)) {
      const operand = node.operand.getText(source);
      const up = node.operator === ts.SyntaxKind.PlusPlusToken;
      return chosen(
        add(node, 'update', up ? '--' : '++'),
        `${operand}${up ? '--' : '++'}`,
        `${operand}${up ? '++' : '--'}`,
      );
    }
    if (node.kind === ts.SyntaxKind.TrueKeyword && !ts.isLiteralTypeNode(node.parent))
      return chosen(add(node, 'boolean', 'false'), 'false', 'true');
    if (node.kind === ts.SyntaxKind.FalseKeyword && !ts.isLiteralTypeNode(node.parent))
      return chosen(add(node, 'boolean', 'true'), 'true', 'false');
    if (ts.isStringLiteral(node) && ts.isExpressionNode?.(node) !== false && isValue(node)) {
      return chosen(
        add(node, 'string', node.text === '' ? '"mutant"' : '""'),
        node.text === '' ? '"mutant"' : '""',
        node.getText(source),
      );
    }
    if (ts.isArrayLiteralExpression(node) && node.elements.length > 0 && isValue(node)) {
      return chosen(add(node, 'array', '[]'), '[]', inner());
    }
    if (ts.isConditionalExpression(node)) {
      const condition = print(node.condition);
      const yes = add(node.condition, 'conditional', 'true');
      const no = add(node.condition, 'conditional', 'false');
      const test = `__mutant === ${yes} ? true : __mutant === ${no} ? false : ${condition}`;
      return `((${test}) ? ${print(node.whenTrue)} : ${print(node.whenFalse)})`;
    }
    if (ts.isIfStatement(node)) {
      const condition = print(node.expression);
      const yes = add(node.expression, 'conditional', 'true');
      const no = add(node.expression, 'conditional', 'false');
      const test = `__mutant === ${yes} ? true : __mutant === ${no} ? false : ${condition}`;
      const rest = node.elseStatement === undefined ? '' : ` else ${print(node.elseStatement)}`;
      return `if (${test}) ${print(node.thenStatement)}${rest}`;
    }
    if (ts.isPropertyAccessExpression(node) && node.questionDotToken !== undefined && node.parent.expression !== node) {
      const target = print(node.expression);
      return chosen(add(node, 'optional chaining', '.'), `${target}.${node.name.text}`, `${target}?.${node.name.text}`);
    }
    if (
      ts.isBlock(node) &&
      node.statements.length > 0 &&
      (ts.isFunctionLike(node.parent) || ts.isIterationStatement?.(node.parent, false))
    ) {
      if (ts.isConstructorDeclaration(node.parent)) return inner();
      const id = add(node, 'block', '{}');
      return `{ if (__mutant !== ${id}) ${inner()} }`;
    }
    return inner();
  };

  /** A literal that is a value at run time: no type, key, import or case label. */
  const isValue = (node) => {
    const { parent } = node;
    if (ts.isPropertyAssignment(parent) && parent.name === node) return false;
    if (ts.isCaseClause(parent) && parent.expression === node) return true;
    return !ts.isLiteralTypeNode(parent) && !ts.isImportDeclaration(parent) && !ts.isExportDeclaration(parent);
  };

  let out = '';
  let at = 0;
  source.forEachChild((child) => {
    out += text.slice(at, child.getStart(source)) + print(child);
    at = child.getEnd();
  });
  return { text: out + text.slice(at), mutants };
}

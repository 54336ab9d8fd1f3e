/** `${NAME}` in the text of a scalar. */

const REFERENCE = /\$\$\{|\$\{([^}]*)\}/g;

/** Whether there is anything for `expand` to do. */
export function hasReference(text: string): boolean {
  return text.includes('${');
}

/**
 * Replaces every `${NAME}` by the variable's value, which is not looked into again, and `$${` by `${`. A variable
 * that is set but empty counts as set. What cannot be replaced stays as it is and is named.
 */
export function expand(text: string, env: NodeJS.ProcessEnv): { text: string; unset: string[] } {
  const unset: string[] = [];
  const expanded = text.replace(REFERENCE, (whole: string, name: string | undefined) => {
    if (name === undefined) return '${';
    const value = isVariable(name) && Object.hasOwn(env, name) ? env[name] : undefined;
    if (value === undefined) unset.push(name);
    return value ?? whole;
  });
  return { text: expanded, unset };
}

/** Whether a process can have a variable of this name that a shell could set. */
export function isVariable(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name);
}

/** An object or list for programs. */
export const renderObject = async (value: unknown, format: 'json' | 'yaml'): Promise<string> => {
  if (format === 'json') return `${JSON.stringify(value, null, 2)}\n`;
  const { stringify } = await import('../lazy/yaml.ts');
  return stringify(value, { version: '1.1', lineWidth: 0 });
};

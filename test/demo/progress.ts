/** Says what is being done and how long it took: a person is watching. */
export const stage = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
  const begun = performance.now();
  process.stdout.write(`• ${what} … `);
  try {
    const result = await work();
    console.log(`${((performance.now() - begun) / 1000).toFixed(1)} s`);
    return result;
  } catch (error) {
    console.log('failed');
    throw error;
  }
};

export const heading = (text: string): void => console.log(`\n${text}\n${'─'.repeat(text.length)}`);

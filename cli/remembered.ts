/** A value made when it is first asked for and then kept; a failure is not kept. */
export class Remembered<T> {
  readonly #make: () => Promise<T>;
  #value: Promise<T> | undefined;

  constructor(make: () => Promise<T>) {
    this.#make = make;
  }

  get(): Promise<T> {
    return this.#value ?? this.set(this.#make());
  }

  /** The value from now on. */
  set(value: Promise<T>): Promise<T> {
    this.#value = value;
    value.catch(() => {
      if (this.#value === value) this.#value = undefined;
    });
    return value;
  }

  /** What there is, without making it. */
  peek(): Promise<T> | undefined {
    return this.#value;
  }
}

import { Type, type TSchema, type TProperties, type Static } from 'typebox';

export { Type };
export type { Static, TSchema };

/** A CEL validation rule as a CRD carries it (`x-kubernetes-validations`). */
export interface CelRule {
  readonly rule: string;
  readonly message?: string;
  readonly messageExpression?: string;
  readonly fieldPath?: string;
  readonly reason?:
    | 'FieldValueInvalid'
    | 'FieldValueForbidden'
    | 'FieldValueRequired'
    | 'FieldValueDuplicate';
}

/** Keywords that pass through to the structural schema unchanged. */
export interface StructuralOptions {
  readonly description?: string;
  readonly 'x-kubernetes-validations'?: readonly CelRule[];
  readonly 'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map';
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  readonly 'x-kubernetes-map-type'?: 'atomic' | 'granular';
}

/** A closed object: a property that is not named here is refused as unknown. */
export const Closed = <const P extends TProperties>(properties: P, options: StructuralOptions = {}) =>
  Type.Object(properties, { additionalProperties: false, ...options });

export interface TextOptions extends StructuralOptions {
  readonly minLength?: number;
  readonly maxLength: number;
  readonly pattern?: string;
  readonly format?: 'date-time';
}

/** A string; every string has a bound, or the API server's CEL cost estimate explodes. */
export const Text = (options: TextOptions) => Type.String({ ...options });

/** One of a few CamelCase words. */
export const OneOf = <const V extends readonly string[]>(values: V, options: StructuralOptions = {}) =>
  Type.Unsafe<V[number]>({ type: 'string', enum: [...values], ...options });

/** A string-to-string map with a bounded number of entries and bounded values. */
export const StringMap = (options: StructuralOptions & { maxProperties: number; maxLength: number }) => {
  const { maxProperties, maxLength, ...rest } = options;
  return Type.Unsafe<Record<string, string>>({
    type: 'object',
    additionalProperties: { type: 'string', maxLength },
    maxProperties,
    ...rest,
  });
};

/** An object whose content the API server stores and does not look into. */
export const Opaque = (options: StructuralOptions & { maxProperties?: number } = {}) =>
  Type.Unsafe<Record<string, unknown>>({
    type: 'object',
    'x-kubernetes-preserve-unknown-fields': true,
    ...options,
  });

/** A bounded list. */
export const List = <S extends TSchema>(
  items: S,
  options: StructuralOptions & { maxItems: number; minItems?: number },
) => Type.Array(items, { ...options });

export const Integer = (
  options: StructuralOptions & { minimum: number; maximum: number; format?: 'int32' | 'int64' },
) => Type.Integer({ ...options });

export const Flag = (options: StructuralOptions = {}) => Type.Boolean({ ...options });

/** The property may be absent. There is never a `default:`; defaults live in code. */
export const Maybe = Type.Optional;

import { group, version, type KindDefinition, type PrinterColumn } from '@outrider/kinds';
import { structural } from './structural.ts';

const column = ({ name, type, jsonPath, description, priority }: PrinterColumn) => ({
  name,
  type,
  jsonPath,
  description,
  ...(priority === undefined || priority === 0 ? {} : { priority }),
});

/** Name of a kind's CustomResourceDefinition. */
export const crdName = (definition: KindDefinition): string => `${definition.plural}.${group}`;

/** A kind's CustomResourceDefinition. */
export function customResourceDefinition(definition: KindDefinition) {
  const { kind, plural, singular, shortNames, rules, selectableFields } = definition;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: crdName(definition), labels: { 'app.kubernetes.io/part-of': 'outrider' } },
    spec: {
      group,
      scope: 'Namespaced',
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular,
        ...(shortNames.length === 0 ? {} : { shortNames: [...shortNames] }),
        categories: ['outrider'],
      },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: definition.columns.map(column),
          ...(selectableFields.length === 0
            ? {}
            : { selectableFields: selectableFields.map((jsonPath) => ({ jsonPath })) }),
          schema: {
            openAPIV3Schema: {
              description: definition.description,
              type: 'object',
              required: ['spec'],
              ...(rules.length === 0 ? {} : { 'x-kubernetes-validations': [...rules] }),
              properties: {
                apiVersion: { description: `Version of the schema: ${group}/${version}.`, type: 'string' },
                kind: { description: `Kind of the object: ${kind}.`, type: 'string' },
                metadata: {
                  type: 'object',
                },
                spec: structural(definition.spec, `${kind}.spec`),
                status: structural(definition.status, `${kind}.status`),
              },
            },
          },
        },
      ],
    },
  };
}

import { definitions, type NodeDefinition } from '@outrider/nodes';
import type { CelRule } from '@outrider/schema';
import { durationRules, literal, literals, refuse } from './cel.ts';
import { lostWorkRules } from './lost-work-rules.ts';

/** Order in which messages list node types. */
const preferred = ['ssh-exec', 'kubectl-exec', 'local-exec'];
const rank = (name: string): number =>
  preferred.includes(name) ? preferred.indexOf(name) : preferred.length;
const nodes: readonly NodeDefinition[] = Object.values(definitions).sort(
  (a, b) => rank(a.name) - rank(b.name) || a.name.localeCompare(b.name),
);

/** Node types that a step may name. */
export const nodeNames: readonly string[] = nodes.map((node) => node.name);

type InputField = keyof NodeDefinition['fields'];
const inputFields: readonly InputField[] = ['script', 'command', 'interpreter', 'workdir', 'env'];

const namesWhere = (holds: (node: NodeDefinition) => boolean): readonly string[] =>
  nodes.filter(holds).map((node) => node.name);

const nodeIn = (names: readonly string[]): string => `self.node in ${literals(names)}`;

/** `step "restart": `, or `this step: ` where it has no name; the error's path has the position. */
const subject = `(has(self.name) ? 'step "' + self.name + '": ' : 'this step: ')`;
const say = (...parts: readonly string[]): string => [subject, ...parts].join(' + ');

const unknownNode: CelRule = refuse({
  when: `!(${nodeIn(nodeNames)})`,
  say: say(`'unknown node "' + self.node + '"; use one of ${nodeNames.join(', ')}'`),
  at: '.node',
});

const reservedName: CelRule = refuse({
  when: `has(self.name) && self.name.matches('^step-[0-9]+$')`,
  say: say(literal('names like step-2 belong to steps without a name; choose another')),
  at: '.name',
});

/** A rule only where a node type asks for it: an empty list would be a rule that never refuses. */
const forNodes = (
  names: readonly string[],
  rule: (names: readonly string[]) => CelRule,
): readonly CelRule[] => (names.length === 0 ? [] : [rule(names)]);

const required = inputFields.flatMap((field) =>
  forNodes(
    namesWhere((node) => node.fields[field] === 'Required'),
    (names) =>
      refuse({
        when: `${nodeIn(names)} && !has(self.${field})`,
        say: say('self.node', literal(` needs ${field}; add it`)),
        at: `.${field}`,
        reason: 'FieldValueRequired',
      }),
  ),
);

const refused = inputFields.flatMap((field) =>
  forNodes(
    namesWhere((node) => node.fields[field] === 'Refused'),
    (names) => {
      const others = nodeNames.filter((name) => !names.includes(name));
      const hint = others.length === 0 ? '; remove it' : `, only with ${others.join(', ')}; remove it`;
      return refuse({
        when: `${nodeIn(names)} && has(self.${field})`,
        say: say(`'${field} cannot be used with ' + self.node`, literal(hint)),
        at: `.${field}`,
        reason: 'FieldValueForbidden',
      });
    },
  ),
);

const exactlyOne = nodes.flatMap((node) => {
  const fields = node.exactlyOneOf;
  if (fields === undefined) return [];
  const count = fields.map((field) => `(has(self.${field}) ? 1 : 0)`).join(' + ');
  return [
    refuse({
      when: `self.node == ${literal(node.name)} && ${count} != 1`,
      say: say(literal(`${node.name} needs exactly one of ${fields.join(' and ')}`)),
      reason: 'FieldValueRequired',
    }),
  ];
});

/** What only says how a script runs. A step with neither script nor command is refused for that already. */
const onlyWithScript = (['interpreter', 'workdir', 'env'] as const).map((field) =>
  refuse({
    when: `has(self.${field}) && has(self.command) && !has(self.script)`,
    say: say(
      literal(`${field} applies to a script, and this step has a command; remove it or write a script`),
    ),
    at: `.${field}`,
    reason: 'FieldValueForbidden',
  }),
);

const targets: readonly CelRule[] = [
  refuse({
    when: 'has(self.target) && has(self.targets)',
    say: say(literal('set either target or targets, not both')),
    at: '.targets',
    reason: 'FieldValueForbidden',
  }),
  ...forNodes(
    namesWhere((node) => node.target === 'Required'),
    (names) =>
      refuse({
        when: `${nodeIn(names)} && !has(self.target) && !has(self.targets)`,
        say: say(
          'self.node',
          literal(' needs target or targets; add target with a host, or with the name of a Target'),
        ),
        at: '.target',
        reason: 'FieldValueRequired',
      }),
  ),
  ...forNodes(
    namesWhere((node) => node.target === 'Refused'),
    (names) =>
      refuse({
        when: `${nodeIn(names)} && (has(self.target) || has(self.targets))`,
        say: say('self.node', literal(' acts on the runner itself; remove target and targets')),
        reason: 'FieldValueForbidden',
      }),
  ),
];

/** Fields of an inline target by the type of system that they belong to; `namespace` is reserved in CEL. */
const typed = [
  { type: 'SSH', field: 'host', cel: 'host' },
  { type: 'SSH', field: 'port', cel: 'port' },
  { type: 'SSH', field: 'user', cel: 'user' },
  { type: 'SSH', field: 'hostKey', cel: 'hostKey' },
  { type: 'SSH', field: 'hostKeyPolicy', cel: 'hostKeyPolicy' },
  { type: 'Kubernetes', field: 'context', cel: 'context' },
  { type: 'Kubernetes', field: 'namespace', cel: '__namespace__' },
] as const;

const inlineTargets: readonly CelRule[] = [
  ...typed.flatMap(({ type, field, cel }) =>
    forNodes(
      namesWhere((node) => node.target !== 'Refused' && node.targetType !== type),
      (names) =>
        refuse({
          when: `${nodeIn(names)} && has(self.target) && has(self.target.${cel})`,
          say: say(
            `'target.${field} is for ${type} targets, and ' + self.node + ' does not use one; remove it'`,
          ),
          at: `.target.${field}`,
          reason: 'FieldValueForbidden',
        }),
    ),
  ),
  ...forNodes(
    namesWhere((node) => node.target !== 'Refused' && node.targetType === 'SSH'),
    (names) =>
      refuse({
        when: `${nodeIn(names)} && has(self.target) && !has(self.target.name) && !has(self.target.host)`,
        say: say('self.node', literal(' needs target.host, or target.name of a Target')),
        at: '.target.host',
        reason: 'FieldValueRequired',
      }),
  ),
];

const credentials: readonly CelRule[] = [
  refuse({
    when: 'has(self.credential) && has(self.target) && has(self.target.credential)',
    say: say(literal('credential stands in the step and in its target; keep one of them')),
    at: '.credential',
  }),
  ...forNodes(
    namesWhere((node) => node.credential === 'Required'),
    (names) =>
      refuse({
        when: `${nodeIn(names)} && has(self.target) && has(self.target.host) && !has(self.target.credential) && !has(self.credential)`,
        say: say(
          'self.node',
          literal(' needs a credential; add credential: STORE:NAME to the step or to its target'),
        ),
        at: '.credential',
        reason: 'FieldValueRequired',
      }),
  ),
  ...forNodes(
    namesWhere((node) => node.credential === 'Refused'),
    (names) =>
      refuse({
        when: `${nodeIn(names)} && has(self.credential)`,
        say: say('self.node', literal(' uses no credential; remove it')),
        at: '.credential',
        reason: 'FieldValueForbidden',
      }),
  ),
];

const timeout = durationRules({
  field: 'timeout',
  value: 'self.timeout',
  present: 'has(self.timeout)',
  subject,
  at: '.timeout',
});

/** Only what runs behind an SSH connection can outlive it. */
const detach = forNodes(
  namesWhere((node) => node.targetType !== 'SSH'),
  (names) =>
    refuse({
      when: `${nodeIn(names)} && has(self.detach)`,
      say: say(`'detach applies to steps over SSH, and ' + self.node + ' is none; remove it'`),
      at: '.detach',
      reason: 'FieldValueForbidden',
    }),
);

/** Rules of one step, each about one field, made from the node types' definitions. */
export const stepRules: readonly CelRule[] = [
  unknownNode,
  reservedName,
  ...required,
  ...exactlyOne,
  ...refused,
  ...onlyWithScript,
  ...targets,
  ...inlineTargets,
  ...credentials,
  ...timeout,
  ...detach,
  ...lostWorkRules(subject),
];

/** Rules of the list of steps. */
export const stepListRules: readonly CelRule[] = [
  {
    rule: 'self.all(s, !has(s.name) || self.exists_one(t, has(t.name) && t.name == s.name))',
    messageExpression:
      `'step name "' + self.map(s, has(s.name) && !self.exists_one(t, has(t.name) && t.name == s.name), s.name)[0] + ` +
      `'" is used more than once; names are unique within a workflow'`,
  },
];

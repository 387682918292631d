import { group, version } from '@outrider/kinds';

/** User name of the operator where nothing else is said. */
export const defaultOperator = 'system:serviceaccount:outrider-system:outrider-operator';

interface Validation {
  readonly expression: string;
  readonly messageExpression: string;
  readonly reason: 'Forbidden' | 'Invalid';
}

interface Policy {
  readonly name: string;
  readonly description: string;
  readonly resource: string;
  readonly operations: readonly ('CREATE' | 'UPDATE')[];
  readonly exempt?: string;
  readonly variables?: readonly { readonly name: string; readonly expression: string }[];
  readonly validations: readonly Validation[];
}

const labels = { 'app.kubernetes.io/part-of': 'outrider' };

/** A policy with the binding that puts it into force in every namespace; a failure to evaluate it refuses. */
function bound(policy: Policy): readonly object[] {
  const admission = { apiVersion: 'admissionregistration.k8s.io/v1' };
  return [
    {
      ...admission,
      kind: 'ValidatingAdmissionPolicy',
      metadata: {
        name: policy.name,
        labels,
        annotations: { 'kubernetes.io/description': policy.description },
      },
      spec: {
        failurePolicy: 'Fail',
        // With every default written out, so that GitOps tools see no drift.
        matchConstraints: {
          matchPolicy: 'Equivalent',
          namespaceSelector: {},
          objectSelector: {},
          resourceRules: [
            {
              apiGroups: [group],
              apiVersions: [version],
              operations: [...policy.operations],
              resources: [policy.resource],
              scope: '*',
            },
          ],
        },
        ...(policy.exempt === undefined
          ? {}
          : {
              matchConditions: [
                { name: 'not-the-operator', expression: `request.userInfo.username != '${policy.exempt}'` },
              ],
            }),
        ...(policy.variables === undefined ? {} : { variables: [...policy.variables] }),
        validations: [...policy.validations],
      },
    },
    {
      ...admission,
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata: { name: policy.name, labels },
      spec: { policyName: policy.name, validationActions: ['Deny'] },
    },
  ];
}

const loginPolicy: Policy = {
  name: 'outrider-login-owner',
  description: 'A Login names the user who creates it, with exactly the groups of that user.',
  resource: 'logins',
  operations: ['CREATE'],
  variables: [
    { name: 'claimed', expression: 'object.spec.?groups.orValue([])' },
    { name: 'actual', expression: 'request.userInfo.?groups.orValue([])' },
  ],
  validations: [
    {
      expression: 'object.spec.username == request.userInfo.username',
      messageExpression: `'user "' + request.userInfo.username + '" cannot log in as "' + object.spec.username + '"; spec.username must be "' + request.userInfo.username + '"'`,
      reason: 'Forbidden',
    },
    {
      // The comparison of lists first: it is cheap, and with very many groups the other exceeds what a policy may cost.
      expression:
        'variables.claimed == variables.actual || sets.equivalent(variables.claimed, variables.actual)',
      messageExpression: `'spec.groups must be exactly the groups of user "' + request.userInfo.username + '"; kubectl auth whoami lists them'`,
      reason: 'Forbidden',
    },
  ],
};

const runPolicy = (operator: string): Policy => ({
  name: 'outrider-run-permission',
  description:
    'Whoever creates a WorkflowRun may run its Workflow by RBAC, and is named by requestedBy if anybody is. ' +
    "Outrider's operator is exempt: it asks the same before it creates a run on behalf of a user.",
  resource: 'workflowruns',
  operations: ['CREATE'],
  exempt: operator,
  variables: [
    { name: 'workflow', expression: 'object.spec.workflowRef.name' },
    {
      name: 'refusal',
      expression: `'user "' + request.userInfo.username + '" may not run workflow "' + variables.workflow + '" in namespace "' + object.metadata.namespace + '"; '`,
    },
  ],
  validations: [
    {
      expression: '!has(object.spec.requestedBy) || object.spec.requestedBy == request.userInfo.username',
      messageExpression: `'spec.requestedBy is "' + object.spec.requestedBy + '", but user "' + request.userInfo.username + '" creates this run; write that user or leave it out'`,
      reason: 'Forbidden',
    },
    {
      expression: `authorizer.group('${group}').resource('workflows').namespace(object.metadata.namespace).name(variables.workflow).check('run').allowed()`,
      messageExpression: `variables.refusal + 'it takes a Role with apiGroups [${group}], resources [workflows], verbs [run] and resourceNames ["' + variables.workflow + '"]'`,
      reason: 'Forbidden',
    },
  ],
});

const decisionPolicy: Policy = {
  name: 'outrider-decision-owner',
  description:
    'Whoever creates a RunDecision is named by decidedBy and may approve its Workflow by RBAC. ' +
    'The operator refuses a decision that names another Workflow than its run.',
  resource: 'rundecisions',
  operations: ['CREATE'],
  variables: [
    {
      name: 'refusal',
      expression: `'user "' + request.userInfo.username + '" may not decide on runs of workflow "' + object.spec.workflow + '" in namespace "' + object.metadata.namespace + '"; '`,
    },
  ],
  validations: [
    {
      expression: 'object.spec.decidedBy == request.userInfo.username',
      messageExpression: `'spec.decidedBy is "' + object.spec.decidedBy + '", but user "' + request.userInfo.username + '" creates this decision; write that user'`,
      reason: 'Forbidden',
    },
    {
      expression: `authorizer.group('${group}').resource('workflows').namespace(object.metadata.namespace).name(object.spec.workflow).check('approve').allowed()`,
      messageExpression: `variables.refusal + 'it takes a Role with apiGroups [${group}], resources [workflows], verbs [approve] and resourceNames ["' + object.spec.workflow + '"]'`,
      reason: 'Forbidden',
    },
  ],
};

/** Rules of a CRD do not see inside `parameters`, whose schema is open; a policy does. */
const frozenParameters: Policy = {
  name: 'outrider-run-immutable',
  description: 'The parameters of a WorkflowRun never change.',
  resource: 'workflowruns',
  operations: ['UPDATE'],
  validations: [
    {
      expression: 'object.spec.?parameters == oldObject.spec.?parameters',
      messageExpression: `'spec.parameters of run "' + object.metadata.name + '" cannot be changed: a run is what was asked for; create another WorkflowRun'`,
      reason: 'Invalid',
    },
  ],
};

/** Every policy and binding, in the order in which they are written. */
export const policies = (operator: string = defaultOperator): readonly object[] =>
  [loginPolicy, runPolicy(operator), frozenParameters, decisionPolicy].flatMap((policy) => bound(policy));

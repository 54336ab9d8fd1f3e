/** What docs/configuration.md says beside what the schema knows. */

export const HEAD = `# Configuration

<!-- Written by \`npm run docs\` from the schema: change that, not this page. -->

One YAML file, read at the start and at each [reload](operating.md#reload). Every key has a default but
\`listeners[].listen\`, \`listeners[].pool\` and \`pools[].backends[].address\`. Keys that nobody knows, values out of
bounds and names that lead nowhere are [faults](#how-faults-look): a file with one is not used at all.

\`\`\`
smtplb check mail.yaml        # "ok", or every fault
smtplb run --config mail.yaml
smtplb schema > smtplb.json   # JSON Schema: editors complete and explain keys with it
\`\`\`

An editor with the YAML language server takes the schema from a first line like this one:
\`# yaml-language-server: $schema=smtplb.json\`.`;

export const WHOLE_FILE = `## A whole file

Every part once ([examples/full.yaml](../examples/full.yaml)). Most files need a quarter of it; start from
[examples/postfix.yaml](../examples/postfix.yaml).`;

export const NOTATIONS = `## Notations

- **Durations** are whole numbers with units: \`250ms\`, \`5s\`, \`1m30s\`, \`2h\`, \`7d\`. A number without a unit is a
  fault.
- **Rates** are a count and a duration: \`60/1m\` is sixty in any minute.
- **Addresses** have a port: \`0.0.0.0:25\`, \`"[::]:25"\` (in quotes, or YAML takes the bracket for a list),
  \`unix:/run/smtplb/mx.sock\`. A backend may also be \`mx1.example.net:25\`: resolved at the start and at each reload,
  to its first address. \`0.0.0.0\` and \`[::]\` are one family each; write both for both.
- **Networks** are \`192.0.2.7\`, \`10.0.0.0/8\`, \`2001:db8::/32\`; bits beyond the prefix do not matter.
- **Names** of listeners, pools and backends are letters, digits and \`. _ : -\`. They are the labels of
  [metrics](metrics.md) and what the [verbs](operating.md#verbs) are given: a backend that changes its address and
  keeps its name is the same backend.
- **\`\${NAME}\`** in any value is replaced by that environment variable; one that is not set is a fault. \`$\${\` is a
  plain \`\${\`. A reload reads the variables that the process was started with.`;

/** Each line wrong in another way. */
export const BROKEN = `admin: { listen: 127.0.0.1:8404, tokn: secret }
listeners:
  - listen: 0.0.0.0:25
    pool: mxx
    timeouts: { idle: 10 }
pools:
  - name: mx
    backends:
      - { name: mx1, address: 10.0.0.11 }
      - { name: mx1, address: "10.0.0.12:25", weight: 0 }
`;

export const ENDING = `## What to read next

What a reload changes and what waits for a restart: [operating.md](operating.md#reload). What each refusal and each
end of a session means: [terminations.md](terminations.md).`;

/** Which names a peer's certificate must have: match_typed_subject_alt_names. One name that matches is enough. */
import { type CertificateValidationContext, SubjectAltNameMatcher_SanType } from "#wire/envoy/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts";
import { ConfigProblem, NOT_SUPPORTED } from "#decide/config-problem.ts";
import { compileString } from "#decide/match/string-match.ts";
import type { TlsFacts } from "#host/net.ts";

/** A reason to refuse the peer, or undefined. */
export type PeerNames = (facts: TlsFacts) => string | undefined;

export function compilePeerNames(context: CertificateValidationContext, path: string): PeerNames | undefined {
  const tests = context.matchTypedSubjectAltNames.map((typed, i) => {
    const at = `${path}.match_typed_subject_alt_names[${i}]`;
    if (typed.matcher === undefined) throw new ConfigProblem(`${at}.matcher`, "is missing");
    const test = compileString(typed.matcher, `${at}.matcher`);
    if (typed.sanType === SubjectAltNameMatcher_SanType.URI) return (facts: TlsFacts) => facts.peerUris.some(test);
    if (typed.sanType === SubjectAltNameMatcher_SanType.DNS) return (facts: TlsFacts) => facts.peerDnsNames.some(test);
    throw new ConfigProblem(`${at}.san_type`, NOT_SUPPORTED);
  });
  for (const [i, matcher] of context.matchSubjectAltNames.entries()) {
    const test = compileString(matcher, `${path}.match_subject_alt_names[${i}]`);
    tests.push((facts) => facts.peerUris.some(test) || facts.peerDnsNames.some(test));
  }
  if (tests.length === 0) return undefined;
  return (facts) => {
    if (tests.some((test) => test(facts))) return undefined;
    const names = [...facts.peerUris, ...facts.peerDnsNames];
    return `the peer is ${names.length === 0 ? "without a name" : names.join(", ")}, which match_typed_subject_alt_names does not allow`;
  };
}

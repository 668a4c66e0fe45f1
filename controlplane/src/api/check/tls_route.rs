//! Rules of TLSRoute.

use super::Check;
use super::Checker;
use super::gateway::backend_ref;
use super::http_route::parents;
use crate::api::tls_route::TlsRoute;
use crate::yaml::FieldPath;

const SPEC: FieldPath<'static> = FieldPath::Field(&FieldPath::Root, "spec");

impl Check for TlsRoute {
    fn check(&self, checker: &mut Checker<'_>) {
        parents(&self.spec.parent_refs, checker);
        checker.items(&SPEC.field("hostnames"), &self.spec.hostnames, 1, 1024);
        let at = SPEC.field("rules");
        checker.items(&at, &self.spec.rules, 1, 1);
        for (index, rule) in self.spec.rules.iter().enumerate() {
            let rule_at = at.index(index);
            let backends_at = rule_at.field("backendRefs");
            checker.items(&backends_at, &rule.backend_refs, 1, 16);
            for (index, one) in rule.backend_refs.iter().enumerate() {
                backend_ref(&one.reference, &backends_at.index(index), checker);
            }
        }
    }
}

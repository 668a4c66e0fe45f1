//! `ringgate validate`: everything that is wrong with files, by themselves and together.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

use crate::problem::{Problem, Severity};
use crate::provision::memory::Memory;
use crate::provision::{Settings, provide};
use crate::reconcile::problems::with_places;
use crate::translate::{Inputs, Options, ResolvedNames, translate};
use crate::validate::files;

/// All problems, by place: of syntax and schema, and of what the objects say about each other.
#[must_use]
pub fn problems(paths: &[PathBuf], classes: &[String], provision: Settings) -> Vec<Problem> {
    let checked = files(paths);
    let classes: BTreeSet<Arc<str>> = classes.iter().map(|name| name.as_str().into()).collect();
    let options = Options {
        classes,
        echo: false,
        cluster: false,
        provision,
    };
    let translation = translate(&Inputs {
        resources: &checked.resources,
        names: &ResolvedNames::new(),
        provided: &provide(&checked.resources, &options, &Memory::default()),
        options: &options,
    });
    let findings = translation.verdicts.findings();
    let mut problems = with_places(findings, &checked.resources);
    problems.extend(checked.problems);
    problems.sort();
    problems
}

/// Whether the files may go into force as they are: warnings and notes don't forbid that.
#[must_use]
pub fn is_passed(problems: &[Problem]) -> bool {
    count(problems, Severity::Error) == 0
}

/// The problems, and a last line that counts them.
#[must_use]
pub fn text(problems: &[Problem]) -> String {
    let mut out = String::new();
    for problem in problems {
        // Writing to a text can't fail.
        let _ = writeln!(out, "{problem}");
    }
    let _ = writeln!(
        out,
        "errors: {}, warnings: {}",
        count(problems, Severity::Error),
        count(problems, Severity::Warning)
    );
    out
}

fn count(problems: &[Problem], severity: Severity) -> usize {
    let all = problems.iter();
    all.filter(|problem| problem.severity == severity).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const GATEWAY: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: CLASS
  listeners:
  - {name: http, port: 80, protocol: HTTP}
";
    const ROUTE: &str = "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: app}
spec:
  parentRefs:
  - name: gw
  rules:
  - backendRefs:
    - name: gone
      port: 80
";

    fn validated(class: &str, claimed: &[&str], more: &str) -> (bool, String) {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("site.yaml");
        fs::write(&path, GATEWAY.replace("CLASS", class) + more).unwrap();
        let claimed: Vec<String> = claimed.iter().map(|name| (*name).to_owned()).collect();
        let problems = problems(&[temp.path().to_owned()], &claimed, Settings::default());
        let folder = format!("{}/", temp.path().display());
        (is_passed(&problems), text(&problems).replace(&folder, ""))
    }

    #[test]
    fn an_unknown_reference_is_an_error_with_its_place() {
        assert_eq!(
            validated("ringgate", &[], ROUTE),
            (
                false,
                "site.yaml:17:7: error: HTTPRoute default/app: spec.rules[0].backendRefs[0]: \
                 there is no Service default/gone\n    \
                 remedy: write the Service, or correct name and namespace\n\
                 errors: 1, warnings: 0\n"
                    .to_owned()
            )
        );
    }

    #[test]
    fn a_foreign_class_passes_only_when_it_is_claimed() {
        let (passed, text) = validated("cilium", &[], "");
        assert!(!passed && text.contains("--gateway-class cilium"), "{text}");
        let expected = (true, "errors: 0, warnings: 0\n".to_owned());
        assert_eq!(validated("cilium", &["cilium"], ""), expected);
    }

    #[test]
    fn what_files_have_wrong_by_themselves_is_told_too() {
        let (passed, text) = validated("ringgate", &[], &ROUTE.replace("parentRefs", "parentRef"));
        assert!(!passed, "{text}");
        assert!(text.contains("parentRef"), "{text}");
    }
}

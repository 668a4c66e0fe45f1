//! The problems that stand now, of files and of what they mean together; each is logged once.

use std::collections::BTreeSet;

use tracing::{info, warn};

use crate::problem::{Problem, Severity};
use crate::status;
use crate::store::{Resources, SourceReader};
use crate::translate::problem::Finding;

#[derive(Debug, Default)]
pub(super) struct Problems {
    of_files: Vec<Problem>,
    findings: BTreeSet<Finding>,
    /// Of certificates.
    ending: Vec<Problem>,
}

impl Problems {
    /// Takes all problems that what was read has now, and logs the new ones. Returns whether there is
    /// any difference.
    pub(super) fn set_files(&mut self, problems: Vec<Problem>) -> bool {
        let (appeared, _) = Problem::differences(&self.of_files, &problems);
        appeared.iter().for_each(log);
        let differs = self.of_files != problems;
        self.of_files = problems;
        differs
    }

    /// Takes all findings of a translation, and logs the new ones.
    pub(super) fn set_findings(&mut self, findings: Vec<&Finding>, resources: &Resources) {
        let new = findings
            .iter()
            .copied()
            .filter(|one| !self.findings.contains(one));
        let new: Vec<&Finding> = new.collect();
        for problem in with_places(new, resources) {
            log(&problem);
        }
        self.findings = findings.into_iter().cloned().collect();
    }

    /// Takes those of all certificates that end soon, and logs the new ones: each once a day.
    pub(super) fn set_ending(&mut self, problems: Vec<Problem>) {
        let (appeared, _) = Problem::differences(&self.ending, &problems);
        appeared.iter().for_each(log);
        self.ending = problems;
    }

    /// Those of what was read, by itself.
    pub(super) fn of_files(&self) -> &[Problem] {
        &self.of_files
    }

    pub(super) fn findings(&self) -> &BTreeSet<Finding> {
        &self.findings
    }

    pub(super) fn has_broken_files(&self) -> bool {
        let mut severities = self.of_files.iter().map(|problem| problem.severity);
        severities.any(|severity| severity == Severity::Error)
    }

    /// All of them, in order of place.
    pub(super) fn all(&self, resources: &Resources) -> Vec<Problem> {
        let mut all = with_places(self.findings.iter().collect(), resources);
        all.extend(self.of_files.iter().cloned());
        all.extend(self.ending.iter().cloned());
        all.sort();
        all
    }

    /// How many there are of each severity.
    pub(super) fn count(&self, severity: Severity) -> usize {
        let of_files = self.of_files.iter().chain(&self.ending);
        let of_files = of_files.map(|problem| problem.severity);
        let findings = self.findings.iter();
        let findings = findings.map(|one| status::words::severity(&one.fault));
        of_files
            .chain(findings)
            .filter(|one| *one == severity)
            .count()
    }
}

/// Findings as people read them. Files are read again for the lines, one after another.
pub(crate) fn with_places(mut findings: Vec<&Finding>, resources: &Resources) -> Vec<Problem> {
    findings.sort_by_key(|finding| resources.source(&finding.object).map(|one| &one.file));
    let mut reader = SourceReader::new();
    findings
        .into_iter()
        .map(|finding| {
            let source = resources.source(&finding.object);
            let place = source.map(|source| reader.place(source, &finding.field));
            status::problem(finding, place)
        })
        .collect()
}

fn log(problem: &Problem) {
    match problem.severity {
        Severity::Error | Severity::Warning => warn!("{problem}"),
        Severity::Note => info!("{problem}"),
    }
}

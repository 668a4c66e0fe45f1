//! Conditions, as Kubernetes has them (metav1.Condition), and when they changed last.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::words;
use crate::translate::problem::Finding;

/// Says how full an AddressPool is.
pub(super) const EXHAUSTED: &str = "Exhausted";

/// One condition of a status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    #[serde(rename = "type")]
    pub condition_type: String,
    pub status: Truth,
    pub reason: String,
    pub message: String,
    pub observed_generation: i64,
    /// RFC 3339, in whole seconds.
    pub last_transition_time: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Truth {
    True,
    False,
    Unknown,
}

impl Condition {
    /// Without its time, which [`stamp`] gives it.
    #[must_use]
    pub fn new(condition_type: &str, status: Truth, reason: &str, message: String) -> Self {
        Self {
            condition_type: condition_type.to_owned(),
            status,
            reason: reason.to_owned(),
            message,
            observed_generation: 0,
            last_transition_time: String::new(),
        }
    }

    /// True, unless there is a finding: then False, for the first one's reason, with all messages.
    #[must_use]
    pub fn unless<'f>(
        condition_type: &str,
        reason: &str,
        findings: impl IntoIterator<Item = &'f Finding>,
    ) -> Self {
        let findings: Vec<&Finding> = findings.into_iter().collect();
        match findings.first() {
            None => Self::new(condition_type, Truth::True, reason, String::new()),
            Some(first) => {
                let reason = words::reason(&first.fault);
                Self::new(condition_type, Truth::False, reason, messages(&findings))
            }
        }
    }

    /// Whether it says that all is well. Two types are worded the other way round, and a pool may be used up.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        if self.condition_type == EXHAUSTED {
            return true;
        }
        let bad_news = matches!(
            self.condition_type.as_str(),
            "Conflicted" | "PartiallyInvalid"
        );
        match self.status {
            Truth::True => !bad_news,
            Truth::False => bad_news,
            Truth::Unknown => false,
        }
    }
}

/// How many messages one condition has room for: Kubernetes allows 32 KiB.
const MESSAGES: usize = 8;

/// The findings' messages: each with its field, its cause and what to do about it.
#[must_use]
pub fn messages(findings: &[&Finding]) -> String {
    let mut texts: Vec<String> = findings.iter().take(MESSAGES).map(message).collect();
    if findings.len() > MESSAGES {
        texts.push(format!("And {} more.", findings.len() - MESSAGES));
    }
    texts.join(" ")
}

fn message(finding: &&Finding) -> String {
    let mut text = words::message(&finding.fault);
    if !finding.field.is_empty() {
        text = format!("{}: {text}", finding.field);
    }
    let remedy = words::remedy(&finding.fault).unwrap_or_default();
    text.push('.');
    let mut letters = remedy.chars();
    if let Some(first) = letters.next() {
        text.extend([' ', first.to_ascii_uppercase()].into_iter().chain(letters));
        text.push('.');
    }
    text
}

/// Gives `conditions` their generation and times: the time stays that of `before` as long as a
/// condition's status does.
pub fn stamp(conditions: &mut [Condition], before: &[Condition], generation: i64, now: SystemTime) {
    for condition in conditions {
        let same = before.iter().find(|one| {
            one.condition_type == condition.condition_type && one.status == condition.status
        });
        condition.observed_generation = generation;
        condition.last_transition_time = match same {
            Some(one) => one.last_transition_time.clone(),
            None => humantime::format_rfc3339_seconds(now).to_string(),
        };
    }
}

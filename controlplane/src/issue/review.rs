//! Whose a token is: the API server knows.

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::api::{Api, PostParams};
use kube::{Client, Error as ClientError};
use thiserror::Error;

use super::NamespacedName;
use crate::limits::API_CALL;

/// What tokens for us are made for: one for anything else, the API server for instance, is of no use
/// here, and one for us of none there.
pub const AUDIENCE: &str = "ringgate.io";

#[derive(Debug, Error)]
pub enum ReviewError {
    #[error(
        "the token isn't valid for the audience {AUDIENCE}; is it a projected one, for this audience, of this cluster?"
    )]
    NotValid,
    #[error(
        "the token is of {user}, to whom no certificates are issued; --issue-to names who gets them"
    )]
    OtherAccount { user: String },
    #[error("the API server can't be asked about the token: {0}")]
    Ask(#[from] ClientError),
    #[error("the API server didn't answer about the token within {API_CALL:?}")]
    Late,
}

/// Asks the API server whose `token` is; it must be one of `accounts`.
///
/// # Errors
/// [`ReviewError`] when it isn't, or can't be told.
pub async fn review(
    client: &Client,
    token: String,
    accounts: &[NamespacedName],
) -> Result<NamespacedName, ReviewError> {
    let question = TokenReview {
        spec: TokenReviewSpec {
            token: Some(token),
            audiences: Some(vec![AUDIENCE.to_owned()]),
        },
        ..TokenReview::default()
    };
    let reviews: Api<TokenReview> = Api::all(client.clone());
    let how = PostParams::default();
    let asked = tokio::time::timeout(API_CALL, reviews.create(&how, &question)).await;
    let answer = asked.map_err(|_| ReviewError::Late)??;
    judge(answer, accounts)
}

fn judge(answer: TokenReview, accounts: &[NamespacedName]) -> Result<NamespacedName, ReviewError> {
    let status = answer.status.unwrap_or_default();
    // An authenticator that knows no audiences leaves them out: then nobody looked at ours.
    let audiences = status.audiences.unwrap_or_default();
    if status.authenticated != Some(true) || !audiences.iter().any(|one| one == AUDIENCE) {
        return Err(ReviewError::NotValid);
    }
    let user = status.user.and_then(|user| user.username);
    let user = user.unwrap_or_default();
    let is_user = |account: &&NamespacedName| {
        user == format!(
            "system:serviceaccount:{}:{}",
            account.namespace, account.name
        )
    };
    match accounts.iter().find(is_user) {
        Some(account) => Ok(account.clone()),
        None => Err(ReviewError::OtherAccount { user }),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::authentication::v1::{TokenReviewStatus, UserInfo};

    use super::*;

    fn judged(
        authenticated: Option<bool>,
        audiences: Option<&str>,
        user: &str,
    ) -> Result<NamespacedName, ReviewError> {
        let answer = TokenReview {
            status: Some(TokenReviewStatus {
                authenticated,
                audiences: audiences.map(|one| vec![one.to_owned()]),
                user: Some(UserInfo {
                    username: Some(user.to_owned()),
                    ..UserInfo::default()
                }),
                ..TokenReviewStatus::default()
            }),
            ..TokenReview::default()
        };
        judge(answer, &["edge/plane".parse().unwrap()])
    }

    #[test]
    fn only_a_valid_token_for_us_of_a_named_account_counts() {
        let right = "system:serviceaccount:edge:plane";
        let account = judged(Some(true), Some(AUDIENCE), right).unwrap();
        assert_eq!(account.to_string(), "edge/plane");
        for (authenticated, audiences) in [
            (Some(false), Some(AUDIENCE)),
            (None, Some(AUDIENCE)),
            (Some(true), None),
            (Some(true), Some("https://kubernetes.default.svc")),
        ] {
            let error = judged(authenticated, audiences, right).unwrap_err();
            assert!(matches!(error, ReviewError::NotValid), "{error}");
        }
        for other in [
            "",
            "edge/plane",
            "system:serviceaccount:edge:other",
            "plane",
        ] {
            let error = judged(Some(true), Some(AUDIENCE), other).unwrap_err();
            assert!(matches!(error, ReviewError::OtherAccount { .. }), "{error}");
        }
    }
}

//! The answer to a data plane that asks for a certificate: bounded in size and rate, for whoever reaches
//! the port may ask.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use kube::Client;
use ringgate_core::wire::proto::{IssueReply, IssueRequest};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Request, Response, Status};
use tracing::{debug, info, warn};

use super::authority::AuthorityError;
use super::review::{ReviewError, review};
use super::{Known, NamespacedName, Periods};
use crate::limits::{ISSUE_INTERVAL, ISSUES};
use crate::push::remote::Caller;
use crate::push::service::certificates_server::Certificates;

/// See the module.
pub struct Issuer {
    client: Client,
    accounts: Vec<NamespacedName>,
    periods: Periods,
    authorities: Known,
    places: Arc<Semaphore>,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Issuer");
        shown
            .field("accounts", &self.accounts)
            .finish_non_exhaustive()
    }
}

impl Issuer {
    #[must_use]
    pub fn new(
        client: Client,
        accounts: Vec<NamespacedName>,
        periods: Periods,
        authorities: Known,
    ) -> Self {
        Self {
            client,
            accounts,
            periods,
            authorities,
            places: Arc::new(Semaphore::new(ISSUES)),
        }
    }

    /// A place among those that are answered now, to be kept until then. It is also held for a while,
    /// however soon that is: so the rate is bounded.
    fn enter(&self) -> Result<Arc<OwnedSemaphorePermit>, Status> {
        let place = self.places.clone().try_acquire_owned();
        let place = Arc::new(place.map_err(|_| {
            Status::resource_exhausted("too many ask for certificates just now, ask again")
        })?);
        tokio::spawn(hold(place.clone()));
        Ok(place)
    }

    async fn answer(&self, request: IssueRequest) -> Result<(IssueReply, NamespacedName), Status> {
        let Some(authorities) = self.authorities.borrow().clone() else {
            return Err(Status::unavailable(
                "the authority that certificates are issued by isn't known yet, ask again",
            ));
        };
        let account = review(&self.client, request.token, &self.accounts)
            .await
            .map_err(|error| refusal(&error))?;
        let life = self.periods.certificate;
        let signed = authorities.sign(&request.request, &account, life, SystemTime::now());
        let signed = signed.map_err(|error| match error {
            AuthorityError::Request(_) => Status::invalid_argument(error.to_string()),
            other => Status::internal(other.to_string()),
        })?;
        let reply = IssueReply {
            chain: vec![signed.to_vec()],
            lifetime_s: life.as_secs(),
        };
        Ok((reply, account))
    }
}

async fn hold(place: Arc<OwnedSemaphorePermit>) {
    tokio::time::sleep(ISSUE_INTERVAL).await;
    drop(place);
}

fn refusal(error: &ReviewError) -> Status {
    match error {
        ReviewError::NotValid => Status::unauthenticated(error.to_string()),
        ReviewError::OtherAccount { .. } => Status::permission_denied(error.to_string()),
        // What exactly is wrong there isn't a stranger's business.
        ReviewError::Ask(_) | ReviewError::Late => {
            warn!("{error}");
            Status::unavailable("the API server can't be asked about the token just now")
        }
    }
}

#[tonic::async_trait]
impl Certificates for Issuer {
    async fn issue(&self, request: Request<IssueRequest>) -> Result<Response<IssueReply>, Status> {
        let _place = self.enter()?;
        let caller = request.extensions().get::<Caller>();
        let address = caller.map(|caller| caller.address);
        match self.answer(request.into_inner()).await {
            Ok((reply, account)) => {
                info!(?address, %account, "a certificate is issued to a data plane");
                Ok(Response::new(reply))
            }
            Err(status) => {
                debug!(?address, "no certificate is issued: {}", status.message());
                Err(status)
            }
        }
    }
}

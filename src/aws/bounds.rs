//! Limits for API responses, so that kgen ends and its memory stays bounded, whatever serves the endpoint.

use std::{env, path::PathBuf, time::Duration};

use aws_sdk_kafka::{
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeDeserializationInterceptorContextMut},
    error::BoxError,
};
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;
use tokio::time::{self, Instant};

use super::{Action, AwsError};
use crate::files::bounded;

/// Bytes of one answer. The longest that kgen asks for, a page of CloudWatch's datapoints, has some MiB.
const MOST_BYTES: usize = 16 << 20;

/// Pages of one listing: ten thousand clusters.
const MOST_PAGES: usize = 100;

/// How long all pages of one listing may take.
const LIST_WITHIN: Duration = Duration::from_secs(60);

/// Where the SDK reads the shared AWS files: the variable that names one, and its place below the home folder.
const SETTINGS: [(&str, &str); 2] =
    [("AWS_CONFIG_FILE", ".aws/config"), ("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")];

/// Why the shared AWS files are not read: the SDK would wait for a pipe, and read a device without end.
pub fn settings_refusal() -> Option<AwsError> {
    let named = |variable| env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
    SETTINGS.into_iter().find_map(|(variable, below_home)| {
        let path = named(variable).or_else(|| Some(env::home_dir()?.join(below_home)))?;
        let reason = match bounded::open(&path) {
            Ok(file) if file.metadata().is_ok_and(|metadata| metadata.len() > bounded::TEXT_BYTES) => {
                bounded::Unbounded::TooLarge(bounded::TEXT_BYTES)
            }
            Ok(_) => return None,
            // What is not there, or may not be read, is the SDK's to judge.
            Err(error) => bounded::Unbounded::of(&error)?,
        };
        Some(AwsError::Settings { path, reason: reason.to_string() })
    })
}

/// Ends the reading of an answer at [`MOST_BYTES`]; the SDK itself would read on.
#[derive(Debug)]
pub struct BoundedAnswers;

impl Intercept for BoundedAnswers {
    fn name(&self) -> &'static str {
        "BoundedAnswers"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        let body = response.take_body();
        *response.body_mut() = SdkBody::from_body_1_x(Limited::new(body, MOST_BYTES));
        Ok(())
    }
}

/// The pages of one listing, as they come.
#[derive(Debug)]
pub struct Paging {
    action: Action,
    pages: usize,
    end: Instant,
}

impl Paging {
    /// Of a listing that begins now.
    pub fn of(action: Action) -> Paging {
        Paging { action, pages: 0, end: Instant::now() + LIST_WITHIN }
    }

    /// The page that `next` gives, if it gives one.
    ///
    /// # Errors
    /// [`AwsError::Endless`] when it gives page after page, [`AwsError::TooSlow`] when all take too long.
    pub async fn bounded<P>(&mut self, next: impl Future<Output = Option<P>>) -> Result<Option<P>, AwsError> {
        let action = self.action.name();
        let slow = |_| AwsError::TooSlow { action, within_s: LIST_WITHIN.as_secs() };
        let page = time::timeout_at(self.end, next).await.map_err(slow)?;
        self.pages += 1;
        match page {
            Some(_) if self.pages > MOST_PAGES => Err(AwsError::Endless { action, pages: MOST_PAGES }),
            page => Ok(page),
        }
    }
}

/// The text of an answer. Nothing when it cannot be read, is longer than `most` bytes, or `take` refuses a part of it.
pub async fn body_within(mut answer: reqwest::Response, most: usize, take: impl Fn(usize) -> bool) -> Option<String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.ok()? {
        if bytes.len() + chunk.len() > most || !take(chunk.len()) {
            return None;
        }
        bytes.extend_from_slice(&chunk);
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_listing_without_end_is_ended() {
        let mut paging = Paging::of(Action::ListNodes);
        for _ in 0..MOST_PAGES {
            assert_eq!(paging.bounded(async { Some(()) }).await, Ok(Some(())));
        }
        assert_eq!(
            paging.bounded(async { Some(()) }).await,
            Err(AwsError::Endless { action: "ListNodes", pages: MOST_PAGES })
        );
        assert_eq!(Paging::of(Action::ListNodes).bounded(async { None::<()> }).await, Ok(None));
    }
}

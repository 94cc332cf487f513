//! Bounds of what an API may answer: whoever is at the endpoint, kgen comes to an end and keeps its memory.

use std::time::Duration;

use aws_sdk_kafka::{
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeDeserializationInterceptorContextMut},
    error::BoxError,
};
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;
use tokio::time::{self, Instant};

use super::AwsError;

/// Bytes of one answer. The longest that kgen asks for, a page of CloudWatch's datapoints, has some MiB.
const MOST_BYTES: usize = 16 << 20;

/// Pages of one listing: ten thousand clusters.
const MOST_PAGES: usize = 100;

/// How long all pages of one listing may take.
const LIST_WITHIN: Duration = Duration::from_secs(60);

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
    action: &'static str,
    pages: usize,
    end: Instant,
}

impl Paging {
    /// Of a listing that begins now.
    pub fn of(action: &'static str) -> Paging {
        Paging { action, pages: 0, end: Instant::now() + LIST_WITHIN }
    }

    /// The page that `next` gives, if it gives one.
    ///
    /// # Errors
    /// [`AwsError::Endless`] when it gives page after page, [`AwsError::TooSlow`] when all take too long.
    pub async fn bounded<P>(&mut self, next: impl Future<Output = Option<P>>) -> Result<Option<P>, AwsError> {
        let action = self.action;
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
        let mut paging = Paging::of("ListNodes");
        for _ in 0..MOST_PAGES {
            assert_eq!(paging.bounded(async { Some(()) }).await, Ok(Some(())));
        }
        assert_eq!(
            paging.bounded(async { Some(()) }).await,
            Err(AwsError::Endless { action: "ListNodes", pages: MOST_PAGES })
        );
        assert_eq!(Paging::of("ListNodes").bounded(async { None::<()> }).await, Ok(None));
    }
}

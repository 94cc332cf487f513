//! Bodies of requests, within a limit.

use std::{error::Error, time::Duration};

use axum::body::{Body, Bytes};
use http_body_util::{BodyExt, Limited};

/// Bytes that are read after the limit and dropped.
const DROPPED_MAX: usize = 64 << 20;

/// Longest wait for a body.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The whole body of a request, of at most `most` bytes.
///
/// The rest of a longer one is read, too: a connection that ends while its client still sends takes the answer with it, and so it
/// does the next request on it.
///
/// # Errors
/// The body is longer, does not come within [`TIMEOUT`], or its connection broke.
pub async fn read(mut body: Body, most: usize) -> Result<Bytes, Box<dyn Error + Send + Sync>> {
    let reading = async {
        let read = Limited::new(&mut body, most).collect().await;
        if read.is_err() {
            let mut rest = Limited::new(&mut body, DROPPED_MAX);
            while rest.frame().await.is_some_and(|frame| frame.is_ok()) {}
        }
        read
    };
    match tokio::time::timeout(TIMEOUT, reading).await {
        Ok(read) => read.map(|body| body.to_bytes()),
        Err(_) => Err(format!("it did not arrive within {} s", TIMEOUT.as_secs()).into()),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use futures::{StreamExt, stream};

    use super::*;

    /// So many bytes in pieces of 1,000, and how many of them were read.
    fn body(pieces: usize) -> (Body, Arc<AtomicUsize>) {
        let read = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&read);
        let stream = stream::iter(0..pieces).map(move |_| {
            counted.fetch_add(1000, Ordering::SeqCst);
            Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 1000]))
        });
        (Body::from_stream(stream), read)
    }

    #[tokio::test]
    async fn what_is_too_long_is_an_error_after_all_of_it_was_read() {
        let (within, _) = body(3);
        assert_eq!(read(within, 3000).await.unwrap().len(), 3000);
        let (beyond, bytes) = body(50);
        let error = read(beyond, 3000).await.unwrap_err().to_string();
        assert!(error.contains("limit"), "{error}");
        assert_eq!(bytes.load(Ordering::SeqCst), 50_000);
    }
}

//! One request of the Kafka protocol and its answer, over a plaintext connection, for what librdkafka has no call for.

use std::{
    io::{self, Read as _, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
    time::Duration,
};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use kafka_protocol::{
    ResponseError,
    messages::{RequestHeader, ResponseHeader},
    protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes},
};

/// How long a broker may take for an answer. Above the time limit that requests carry, so that its own refusal comes first.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// The longest answer that is read: the placement of a million partitions is shorter.
const MOST_BYTES: u32 = 256 << 20;

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("{address}: {source} (check that the broker is running and that this machine can reach it)")]
    Unreachable { address: String, source: io::Error },
    #[error("the response from {address} cannot be parsed: {reason}")]
    Unreadable { address: String, reason: String },
}

/// Why brokers did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error("no broker responds: {0}")]
    Wire(#[from] WireError),
    #[error("the brokers refuse to {what}: {reason}")]
    Refused { what: String, reason: String },
}

/// Sends `request` to one of `addresses` after another until one answers.
///
/// # Errors
/// What the last of them said.
pub fn ask<R: Request>(addresses: &[String], version: i16, request: &R) -> Result<R::Response, RequestError> {
    let mut last = None;
    for address in addresses {
        match call(address, version, request) {
            Ok(answer) => return Ok(answer),
            Err(error) => last = Some(error),
        }
    }
    let nobody = || RequestError::Refused { what: "answer".to_owned(), reason: "no address is known".to_owned() };
    Err(last.map_or_else(nobody, Into::into))
}

/// What the code and the text of an answer say of `what` was asked.
///
/// # Errors
/// It is refused.
pub fn settled(code: i16, message: Option<&StrBytes>, what: impl FnOnce() -> String) -> Result<(), RequestError> {
    let Some(error) = ResponseError::try_from_code(code) else { return Ok(()) };
    // Their display is a sentence, and what brokers add is more exact.
    let reason = message.map_or_else(|| error.to_string(), ToString::to_string);
    Err(RequestError::Refused { what: what(), reason })
}

/// Sends `request` in the protocol's `version` to `address` (`host:port`), and returns the answer.
///
/// # Errors
/// See [`WireError`].
pub fn call<R: Request>(address: &str, version: i16, request: &R) -> Result<R::Response, WireError> {
    let unreachable = |source| WireError::Unreachable { address: address.to_owned(), source };
    let unreadable = |reason: String| WireError::Unreadable { address: address.to_owned(), reason };
    let frame = framed::<R>(version, request).map_err(unreadable)?;
    let mut stream = connected(address).map_err(unreachable)?;
    stream.write_all(&frame).map_err(unreachable)?;
    let mut size = [0; 4];
    stream.read_exact(&mut size).map_err(unreachable)?;
    let size = u32::from_be_bytes(size);
    if size > MOST_BYTES {
        return Err(unreadable(format!("it has {size} bytes")));
    }
    let mut answer = vec![0; size as usize];
    stream.read_exact(&mut answer).map_err(unreachable)?;
    read::<R>(version, answer.into()).map_err(unreadable)
}

fn connected(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for resolved in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&resolved, CONNECT_WITHIN) {
            Ok(stream) => {
                stream.set_read_timeout(Some(ANSWER_WITHIN))?;
                stream.set_write_timeout(Some(ANSWER_WITHIN))?;
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Size, header and body, as they go over the wire.
fn framed<R: Request>(version: i16, request: &R) -> Result<Bytes, String> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_client_id(Some(StrBytes::from_static_str("kgen")));
    let mut body = BytesMut::new();
    header.encode(&mut body, R::header_version(version)).map_err(|error| error.to_string())?;
    request.encode(&mut body, version).map_err(|error| error.to_string())?;
    let size = u32::try_from(body.len()).map_err(|error| error.to_string())?;
    let mut frame = BytesMut::with_capacity(body.len() + 4);
    frame.put_u32(size);
    frame.extend_from_slice(&body);
    Ok(frame.freeze())
}

fn read<R: Request>(version: i16, mut answer: Bytes) -> Result<R::Response, String> {
    ResponseHeader::decode(&mut answer, R::Response::header_version(version)).map_err(|error| error.to_string())?;
    let response = R::Response::decode(&mut answer, version).map_err(|error| error.to_string())?;
    if answer.has_remaining() {
        return Err(format!("{} bytes too many", answer.remaining()));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use kafka_protocol::messages::ListPartitionReassignmentsRequest;

    use super::*;

    #[test]
    fn a_request_goes_out_whole_and_its_answer_is_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let broker = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut size = [0; 4];
            stream.read_exact(&mut size).unwrap();
            let mut request = vec![0; u32::from_be_bytes(size) as usize];
            stream.read_exact(&mut request).unwrap();
            // Correlation id, tags; throttle time, error code, no message, no topics, tags.
            let answer = [0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1, 0];
            stream.write_all(&(answer.len() as u32).to_be_bytes()).unwrap();
            stream.write_all(&answer).unwrap();
            request
        });
        let answer = call(&address, 0, &ListPartitionReassignmentsRequest::default()).unwrap();
        assert_eq!((answer.throttle_time_ms, answer.topics.len()), (7, 0));
        // Key 46, version 0, correlation id 0, client id of 4 bytes.
        assert_eq!(broker.join().unwrap()[..14], [0, 46, 0, 0, 0, 0, 0, 0, 0, 4, b'k', b'g', b'e', b'n']);
    }

    #[test]
    fn a_broker_that_is_not_there_is_named() {
        let error = call("127.0.0.1:1", 0, &ListPartitionReassignmentsRequest::default()).unwrap_err().to_string();
        assert!(error.starts_with("127.0.0.1:1: ") && error.contains("refused"), "{error}");
    }
}

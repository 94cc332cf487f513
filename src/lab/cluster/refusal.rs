//! Errors of the MSK API.

/// An answer that is an error: its type, its message and the parameter at fault, as MSK sends them.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub kind: Kind,
    pub message: String,
    pub parameter: Option<&'static str>,
}

/// The error types of the MSK API that the lab answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    BadRequest,
    Forbidden,
    NotFound,
    Conflict,
    Internal,
    Unavailable,
    TopicExists,
    /// The brokers refuse a change of a topic.
    KafkaRequest,
    /// The lab was instructed to deny the action.
    AccessDenied,
    /// The lab was instructed to refuse the caller: its credentials have expired.
    Expired,
    /// Likewise: its credentials are unknown in the region.
    Unrecognized,
    /// Likewise: it calls too often.
    Throttled,
    /// What API Gateway answers to a path, method or signature that it cannot place.
    Unplaced,
}

impl Kind {
    pub fn status(self) -> u16 {
        match self {
            Kind::BadRequest | Kind::KafkaRequest => 400,
            Kind::Forbidden | Kind::Unplaced | Kind::AccessDenied | Kind::Expired | Kind::Unrecognized => 403,
            Kind::NotFound => 404,
            Kind::Conflict | Kind::TopicExists => 409,
            Kind::Throttled => 429,
            Kind::Internal => 500,
            Kind::Unavailable => 503,
        }
    }

    /// The name in the header `x-amzn-ErrorType`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::BadRequest => "BadRequestException",
            Kind::Forbidden => "ForbiddenException",
            Kind::NotFound => "NotFoundException",
            Kind::Conflict => "ConflictException",
            Kind::Internal => "InternalServerErrorException",
            Kind::TopicExists => "TopicExistsException",
            Kind::KafkaRequest => "KafkaRequestException",
            Kind::AccessDenied => "AccessDeniedException",
            Kind::Expired => "ExpiredTokenException",
            Kind::Unrecognized => "UnrecognizedClientException",
            Kind::Throttled => "TooManyRequestsException",
            Kind::Unavailable => "ServiceUnavailableException",
            Kind::Unplaced => "MissingAuthenticationTokenException",
        }
    }
}

impl Refusal {
    pub fn new(kind: Kind, message: impl Into<String>) -> Refusal {
        Refusal { kind, message: message.into(), parameter: None }
    }

    /// A request that says something MSK does not accept in `parameter`.
    pub fn parameter(parameter: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { parameter: Some(parameter), ..Refusal::bad(message) }
    }

    pub fn bad(message: impl Into<String>) -> Refusal {
        Refusal::new(Kind::BadRequest, message)
    }

    pub fn not_found(message: impl Into<String>) -> Refusal {
        Refusal::new(Kind::NotFound, message)
    }

    pub fn internal(message: impl Into<String>) -> Refusal {
        Refusal::new(Kind::Internal, message)
    }
}

//! How a call is refused.

/// What a call is answered with when it fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// As SSM names it.
    pub code: &'static str,
    pub message: String,
}

impl Fault {
    pub fn new(code: &'static str, message: impl Into<String>) -> Fault {
        Fault { code, message: message.into() }
    }
}

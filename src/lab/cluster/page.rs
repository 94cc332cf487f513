//! Lists in pages.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use super::Refusal;

/// MSK's limit for one page.
const PAGE_MAX: usize = 100;

/// Part of a list, and where the next part begins.
#[derive(Debug, PartialEq)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next_token: Option<String>,
}

/// The page of `items` that `max_results` and `next_token` ask for.
///
/// # Errors
/// 400 for a size outside 1 to 100 and for a token that was not given out by a list.
pub fn page<T>(
    items: impl Iterator<Item = T>,
    max_results: Option<&str>,
    next_token: Option<&str>,
) -> Result<Page<T>, Refusal> {
    let size = match max_results {
        None => PAGE_MAX,
        Some(text) => text
            .parse()
            .ok()
            .filter(|size| (1..=PAGE_MAX).contains(size))
            .ok_or_else(|| Refusal::parameter("maxResults", format!("maxResults must be 1 to {PAGE_MAX}")))?,
    };
    let start: usize = match next_token {
        None => 0,
        Some(token) => BASE64_URL_SAFE_NO_PAD
            .decode(token)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok()?.strip_prefix("from:")?.parse().ok())
            .ok_or_else(|| Refusal::parameter("nextToken", "nextToken was not returned by a list call"))?,
    };
    let mut rest = items.skip(start);
    let items: Vec<T> = rest.by_ref().take(size).collect();
    let next = start.saturating_add(items.len());
    let next_token = rest.next().map(|_| BASE64_URL_SAFE_NO_PAD.encode(format!("from:{next}")));
    Ok(Page { items, next_token })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_one_another_to_the_end() {
        let mut token = None;
        let mut seen = Vec::new();
        for _ in 0..10 {
            let page = page(1..=5, Some("2"), token.as_deref()).unwrap();
            seen.push(page.items);
            token = page.next_token;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(seen, [vec![1, 2], vec![3, 4], vec![5]]);
    }

    #[test]
    fn a_page_nobody_can_ask_for_is_refused() {
        for (size, token) in
            [(Some("0"), None), (Some("101"), None), (Some("x"), None), (None, Some("x")), (None, Some(""))]
        {
            assert!(page(1..=5, size, token).is_err(), "{size:?} {token:?}");
        }
    }
}

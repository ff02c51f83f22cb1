//! What a server answers to an INSERT.

use anyhow::{Result, anyhow};
use axum::http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::Failure;

/// What is read of a reply at most, in bytes. An INSERT is answered with none, an exception with a line.
const MAX_LEN: usize = 64 << 10;
/// Letters of a line that are shown.
const MAX_SHOWN: usize = 300;
/// What the names of ClickHouse's headers begin with: every reply has some.
const PREFIX: &str = "x-clickhouse-";
/// The header with the number of an exception.
const EXCEPTION: &str = "x-clickhouse-exception-code";

/// Whether records are in their table, or why not.
pub(super) async fn check<B>(reply: Response<B>, endpoint: &str, database: &str) -> Result<()>
where
    B: axum::body::HttpBody<Error: std::error::Error + Send + Sync + 'static>,
{
    let (head, body) = reply.into_parts();
    let body = match Limited::new(body, MAX_LEN).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let text = format!("{endpoint}: an answer of more than {MAX_LEN} bytes; correct endpoint");
            return Err(anyhow!(text).context(Failure::Rejected));
        }
        Err(error) => {
            let text = format!("{endpoint}: half an answer; see to the server: {error}");
            return Err(anyhow!(text).context(Failure::Broken));
        }
    };
    judge(head.status, &head.headers, &body, database).map_err(|text| {
        let text = format!("{endpoint}: {text}");
        anyhow!(text).context(Failure::Rejected)
    })
}

/// Whether a reply is the answer to a question, or what is wrong.
pub(super) fn judge_answer(status: StatusCode, headers: &HeaderMap, body: &[u8], database: &str) -> Result<(), String> {
    let is_clickhouse = headers.keys().any(|name| name.as_str().starts_with(PREFIX));
    if status == StatusCode::OK && is_clickhouse && !headers.contains_key(EXCEPTION) {
        return Ok(());
    }
    judge(status, headers, body, database)
}

/// What is wrong, and what to do.
fn judge(status: StatusCode, headers: &HeaderMap, body: &[u8], database: &str) -> Result<(), String> {
    let body = String::from_utf8_lossy(body);
    let line = body.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    // An exception that came after the status stands in the body alone.
    let told = headers.get(EXCEPTION).and_then(|code| code.to_str().ok()?.parse().ok());
    let code: Option<u32> = told.or_else(|| {
        let (_, rest) = body.split_once("Code: ")?;
        rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
    });
    let is_clickhouse = headers.keys().any(|name| name.as_str().starts_with(PREFIX));
    if status == StatusCode::OK && is_clickhouse && line.is_empty() && !headers.contains_key(EXCEPTION) {
        return Ok(());
    }
    let shown: String = line.chars().filter(|letter| !letter.is_control()).take(MAX_SHOWN).collect();
    let what = if shown.is_empty() { format!("status {}", status.as_u16()) } else { shown };
    Err(match code {
        Some(code) => format!("{what}; {}", fix(code, database)),
        None if is_clickhouse => format!("{what}; see to the server"),
        None => format!("this is not ClickHouse, it says: {what}; correct endpoint"),
    })
}

/// What to do about an exception (ClickHouse, `ErrorCodes`).
fn fix(code: u32, database: &str) -> String {
    match code {
        // UNKNOWN_TABLE, UNKNOWN_DATABASE.
        60 | 81 => format!("apply docs/clickhouse/schema.sql to the database {database}, or correct database"),
        // UNKNOWN_SETTING.
        115 => "update the server: it lacks a setting that records are inserted with".to_owned(),
        // UNKNOWN_USER, WRONG_PASSWORD, REQUIRED_PASSWORD, AUTHENTICATION_FAILED.
        192..=194 | 516 => "correct username and password_file".to_owned(),
        // READONLY, ACCESS_DENIED.
        164 | 497 => format!("grant the user INSERT on {database}.*, and let it change settings"),
        // QUERY_IS_TOO_LARGE to TOO_MANY_PARTS, MEMORY_LIMIT_EXCEEDED, NOT_ENOUGH_SPACE.
        241 | 243 | 252 => "give the server memory, disk or time to merge".to_owned(),
        // What cannot be parsed, is missing or does not convert.
        6 | 16 | 26 | 27 | 41 | 47 | 53 | 117 => {
            format!("apply docs/clickhouse/schema.sql and upgrade.sql of this version to the database {database}")
        }
        _ => "see to the server".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Result<(), String> {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        judge(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes(), "db")
    }

    #[test]
    fn only_clickhouse_says_that_it_has_something() {
        let ours = ("x-clickhouse-query-id", "1");
        assert_eq!(of(200, &[ours], ""), Ok(()));
        assert_eq!(of(200, &[ours], "\n"), Ok(()));
        let long = "x".repeat(1000);
        for (status, headers, body, expected) in [
            (200, &[] as &[_], "", "not ClickHouse, it says: status 200; correct endpoint"),
            (200, &[], "<html>\n<body>", "not ClickHouse, it says: <html>; correct endpoint"),
            (502, &[], "Bad\u{7} gateway", "not ClickHouse, it says: Bad gateway; correct endpoint"),
            (503, &[ours], "", "status 503; see to the server"),
            (200, &[ours, (EXCEPTION, "60")], "", "status 200; apply docs/clickhouse/schema.sql to the database db"),
            (404, &[ours], "Code: 60. DB::Exception: no t", "no t; apply docs/clickhouse/schema.sql"),
            (404, &[ours], "Code: 81. DB::Exception: no d", "no d; apply docs/clickhouse/schema.sql"),
            (200, &[ours], "\nCode: 241. DB::Exception: m", "m; give the server memory"),
            (403, &[ours], "Code: 516. DB::Exception: a", "a; correct username and password_file"),
            (404, &[ours], "Code: 47. DB::Exception: lost", "lost; apply docs/clickhouse/schema.sql and upgrade.sql"),
            (404, &[ours, (EXCEPTION, "115")], "s", "s; update the server"),
            (500, &[ours, (EXCEPTION, "?")], &long, "x; see to the server"),
        ] {
            let text = of(status, headers, body).unwrap_err();
            assert!(text.contains(expected) && text.len() < 500, "{text}");
        }
    }
}

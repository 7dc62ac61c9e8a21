//! Who a request says it talks to, and who sent it there.
//!
//! Nobody has to log in, so a page of any web site could make a browser on this machine ask the server: by giving its
//! own name this machine's address (DNS rebinding), or by sending a form across sites. A server that listens on this
//! machine alone therefore answers only to its names and to those that a setting lists.

use super::error::{Problem, Slug};
use axum::http::{HeaderMap, HeaderValue, Uri, header, uri::Authority};
use std::net::IpAddr;

/// Refuses a request for another host than this one and those `allowed`, or from a page of one. `bind` is where the
/// server listens.
pub(super) fn check(bind: IpAddr, allowed: &[String], uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    // Where other machines may ask, nobody knows by which names.
    if allowed.is_empty() && !bind.is_loopback() {
        return Ok(());
    }
    let is_allowed = |host: &str| is_here(host) || allowed.iter().any(|own| own.eq_ignore_ascii_case(host));
    let asked = uri.authority().map(|authority| authority.host().to_owned());
    if let Some(host) = asked.or_else(|| headers.get(header::HOST).map(host_of))
        && !is_allowed(&host)
    {
        let host = super::printable(&host);
        return Err(refusal(format!(
            "the host `{host}` is none that this server answers to; if it is yours, name it with --allowed-hosts (TAQICFD_ALLOWED_HOSTS)"
        )));
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = String::from_utf8_lossy(origin.as_bytes()).into_owned();
    let host = origin.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
    // `null`, of pages without an address, is nobody's.
    match host {
        Some(host) if is_allowed(&host) => Ok(()),
        _ => {
            let origin = super::printable(&origin);
            Err(refusal(format!(
                "the origin `{origin}` is none that this server answers to; if it is yours, name it with --allowed-hosts (TAQICFD_ALLOWED_HOSTS)"
            )))
        }
    }
}

fn refusal(detail: String) -> Problem {
    Problem::new(Slug::HostNotAllowed, detail)
}

fn host_of(value: &HeaderValue) -> String {
    let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
    text.parse::<Authority>().map(|authority| authority.host().to_owned()).unwrap_or(text)
}

/// Whether a host is this machine.
fn is_here(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.to_ascii_lowercase().ends_with(".localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "127.0.0.1";

    fn is_refused(bind: &str, allowed: &[&str], host: &'static str, origin: Option<&'static str>) -> bool {
        let allowed: Vec<String> = allowed.iter().map(|host| (*host).to_owned()).collect();
        let mut headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        }
        check(bind.parse().unwrap(), &allowed, &Uri::from_static("/datasets"), &headers).is_err()
    }

    #[test]
    fn a_server_of_this_machine_answers_to_its_names_alone() {
        for host in
            ["localhost:8080", "127.0.0.1", "127.0.0.1:80", "[::1]:8080", "LOCALHOST", "lab.localhost"]
        {
            assert!(!is_refused(HERE, &[], host, None), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8080",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "localhost.evil.example",
        ] {
            assert!(is_refused(HERE, &[], host, None), "{host}");
        }
        assert!(!is_refused(HERE, &["other", "lab.ufba.br"], "lab.ufba.br:443", None));
        assert!(!is_refused("0.0.0.0", &[], "whatever.example", Some("http://whatever.example")));
        assert!(is_refused("0.0.0.0", &["lab"], "whatever.example", None));
    }

    #[test]
    fn pages_of_other_hosts_are_not_served() {
        for origin in ["http://localhost:3000", "http://127.0.0.1:8080", "http://[::1]:8080"] {
            assert!(!is_refused(HERE, &[], "localhost:8080", Some(origin)), "{origin}");
        }
        for origin in ["http://evil.example", "https://evil.example:8080", "null", "file://"] {
            assert!(is_refused(HERE, &[], "localhost:8080", Some(origin)), "{origin}");
        }
    }
}

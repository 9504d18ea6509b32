use super::*;
use crate::error::ErrorKind;

struct Case {
    status: u16,
    code: &'static str,
    message: &'static str,
    token: bool,
}

fn ask(case: &Case, path: bool) -> HubError {
    let endpoint = Endpoint::new("https://hub.test").unwrap();
    let (model, path_of) = ("o/n".parse().unwrap(), FilePath::new("f").unwrap());
    let mut headers = HeaderMap::new();
    if !case.code.is_empty() {
        headers.insert("x-error-code", case.code.parse().unwrap());
    }
    let asked = Asked { model: Some(&model), revision: Some("x"), path: path.then_some(&path_of) };
    let url = "https://hub.test/o/n?token=hf_secret".parse().unwrap();
    let body = format!(r#"{{"error":"{}"}}"#, case.message);
    let text = message(&headers, body.as_bytes(), Some("hf_secret"));
    refusal(
        (&url, StatusCode::from_u16(case.status).unwrap()),
        &headers,
        text,
        asked,
        &endpoint,
        case.token,
    )
}

macro_rules! case {
    ($status:literal, $code:literal, $message:literal, $token:literal) => {
        Case { status: $status, code: $code, message: $message, token: $token }
    };
}

#[test]
fn each_row_of_the_hubs_table_has_its_error_and_hint() {
    use HubError as E;
    let file = ask(&case!(404, "EntryNotFound", "Entry not found", false), true);
    assert!(matches!(&file, E::FileNotFound { path, .. } if path.as_str() == "f"), "{file}");

    let revision = ask(&case!(404, "RevisionNotFound", "Invalid rev id: x", false), false);
    assert!(matches!(&revision, E::RevisionNotFound { revision, .. } if revision == "x"));
    let uncoded = ask(&case!(404, "", "Invalid rev id: x", false), true);
    assert!(matches!(uncoded, E::RevisionNotFound { .. }), "{uncoded}");

    let anonymous = ask(&case!(401, "", "Invalid username or password.", false), false);
    assert!(matches!(anonymous, E::NotFound { with_token: false, .. }), "{anonymous}");
    assert!(anonymous.hint().unwrap().contains("export HF_TOKEN"));
    let known = ask(&case!(404, "RepoNotFound", "Repository not found", true), true);
    assert!(matches!(known, E::NotFound { with_token: true, .. }), "{known}");
    assert!(known.hint().unwrap().contains("spelling"));
    for error in [&file, &revision, &anonymous, &known] {
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }

    let gated = ask(&case!(401, "GatedRepo", "Access to model o/n is restricted.", false), true);
    assert!(matches!(gated, E::Gated { with_token: false, .. }), "{gated}");
    let hint = gated.hint().unwrap();
    assert!(hint.contains("https://hub.test/o/n") && hint.contains("HF_TOKEN"), "{hint}");
    let waiting = ask(&case!(403, "GatedRepo", "Access to model o/n is restricted", true), true);
    assert!(matches!(waiting, E::Gated { with_token: true, .. }), "{waiting}");
    assert!(waiting.hint().unwrap().contains("ask for access at https://hub.test/o/n"));

    let bad = ask(&case!(401, "", "Invalid credentials in Authorization header", true), false);
    assert!(matches!(bad, E::BadToken { .. }), "{bad}");
    let disabled = ask(&case!(403, "", "Access to this resource is disabled.", true), false);
    assert!(matches!(disabled, E::Disabled { .. }), "{disabled}");
    for error in [gated, waiting, bad, disabled] {
        assert!(!error.is_retryable());
        assert_eq!(error.kind(), ErrorKind::Hub);
    }
}

#[test]
fn a_server_in_trouble_is_asked_again() {
    for status in [408, 429, 500, 502, 503, 504] {
        let error = ask(&Case { status, code: "", message: "x", token: false }, true);
        assert!(error.is_retryable(), "{error}");
    }
    for status in [400, 402, 403, 410, 451] {
        let error = ask(&Case { status, code: "", message: "no", token: false }, true);
        assert!(matches!(&error, HubError::Refused { message, .. } if message == "no"), "{error}");
        assert!(!error.is_retryable());
    }
}

#[test]
fn a_refusal_does_not_repeat_the_token() {
    let error = ask(&case!(403, "", "hf_secret\\u0007 is not welcome", true), true);
    assert_eq!(
        error.to_string(),
        "https://hub.test/o/n was refused with status 403: …  is not welcome"
    );
    assert!(!format!("{error:?}").contains("hf_secret"));
}

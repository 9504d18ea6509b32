//! One request and its answer.

use std::io;
use std::net::TcpStream;
use std::time::Instant;

use super::answer::Answer;
use super::api;
use super::fault::What;
use super::files;
use super::log::{Origin, Request};
use super::refusal::{Refusal, url_prefix};
use super::route::{Asked, RepoName, Route};
use super::send::{Next, send};
use super::server::{Shared, State};
use super::strike::{self, Facts, Strike};
use super::wire::Incoming;

pub(super) fn exchange(
    shared: &Shared,
    origin: Origin,
    connection: u64,
    stream: &TcpStream,
    incoming: &Incoming,
) -> io::Result<Next> {
    let asked = Asked::new(origin, &incoming.target);
    let (number, repo, file) =
        shared.change(|state| arrive(state, origin, connection, incoming, &asked));
    let facts = Facts {
        asked: &asked,
        target: &incoming.target,
        method: &incoming.method,
        file: file.as_deref(),
        is_cdn: origin == Origin::Cdn,
        number,
    };
    let early = shared.change(|state| strike::early(&mut state.faults, &facts));
    for (_, what) in &early {
        if let What::Delay(delay) = what {
            shared.pause_until(Instant::now() + *delay);
        }
    }
    let (answer, struck) = shared.change(|state| {
        happen(state, repo.as_ref(), &early);
        let answer = answer(shared, state, origin, incoming, &asked, &early);
        let answer = dress(answer, &asked, origin, number);
        let struck = strike::late(&mut state.faults, &facts, &answer, early.clone());
        (answer, struck)
    });
    let plan = strike::plan(answer, &struck, &facts)?;
    send(shared, stream, incoming, number, plan)
}

/// Writes the request down: its number, and the repository and file that are meant.
fn arrive(
    state: &mut State,
    origin: Origin,
    connection: u64,
    incoming: &Incoming,
    asked: &Asked,
) -> (usize, Option<RepoName>, Option<String>) {
    let link = match &asked.route {
        Route::Cdn(signature) => state.links.get(signature),
        _ => None,
    };
    let file = link.map(|link| link.entry.path.as_str()).or(asked.route.file()).map(str::to_owned);
    let repo = link.map(|link| &link.repo).or(asked.route.repo()).cloned();
    state.log.push(Request {
        origin,
        method: incoming.method.clone(),
        path: asked.path.clone(),
        query: asked.query.clone(),
        range: incoming.range().and_then(|(first, last)| Some((first?, last))),
        authorization: incoming.header("authorization").map(Into::into),
        headers: incoming.headers.clone(),
        file: file.clone(),
        content: false,
        status: 0,
        body_sent: 0,
        done: false,
        connection,
    });
    (state.forgotten + state.log.len() - 1, repo, file)
}

/// Lets what faults change happen.
fn happen(state: &mut State, repo: Option<&RepoName>, early: &[Strike]) {
    for (_, what) in early {
        match what {
            What::ExpireLinks => state.expire_links(),
            What::MoveBranch { branch, commit } => {
                let repo = repo.and_then(|repo| state.repos.get_mut(repo));
                if let Some(repo) = repo {
                    repo.refs.insert(format!("refs/heads/{branch}"), commit.clone());
                }
            }
            _ => {}
        }
    }
}

/// Adds what every answer of an origin has.
fn dress(answer: Answer, asked: &Asked, origin: Origin, number: usize) -> Answer {
    let answer = answer.with("X-Request-Id", format!("Root=1-{number:08x}"));
    if origin == Origin::Cdn {
        return answer;
    }
    let (name, most) = match asked.route {
        Route::Resolve(..) | Route::Cache(..) | Route::Raw(..) => ("resolvers", 3000),
        _ => ("api", 500),
    };
    answer
        .with("RateLimit", format!("\"{name}\";r={};t=172", most - 1))
        .with("RateLimit-Policy", format!("\"fixed window\";\"{name}\";q={most};w=300"))
}

fn answer(
    shared: &Shared,
    state: &mut State,
    origin: Origin,
    incoming: &Incoming,
    asked: &Asked,
    early: &[Strike],
) -> Answer {
    let is_api = asked.path.starts_with("/api/");
    let fits = match asked.route {
        Route::PathsInfo(..) => incoming.method == "POST",
        _ => matches!(incoming.method.as_str(), "GET" | "HEAD"),
    };
    if !fits {
        return Refusal::new(405, None, "Method not allowed").answer(is_api);
    }
    if origin == Origin::Cdn {
        return match &asked.route {
            Route::Cdn(signature) => files::cdn(state, incoming, asked, signature),
            _ => files::denied(),
        };
    }
    if let Some(to) = new_place(state, asked, is_api, &incoming.target) {
        return Answer::redirect(307, &to);
    }
    let answered = match &asked.route {
        Route::Whoami => api::whoami(state, incoming),
        Route::Info(repo, revision) => api::info(state, incoming, asked, repo, revision.as_deref()),
        Route::Tree(repo, revision, under) => {
            let faults: Vec<_> = early.iter().map(|(_, what)| what.clone()).collect();
            api::tree(shared, state, incoming, asked, (repo, revision, under), &faults)
        }
        Route::PathsInfo(repo, revision) => api::paths_info(state, incoming, repo, revision),
        Route::Refs(repo) => api::refs(state, incoming, asked, repo),
        Route::Commits(repo, revision) => api::commits(state, incoming, repo, revision),
        Route::AuthCheck(repo) => api::auth_check(state, incoming, repo),
        Route::XetToken(repo, _) => api::xet_token(shared, state, incoming, repo),
        Route::Resolve(repo, revision, path) => {
            files::resolve(shared, state, incoming, asked, (repo, revision, path))
        }
        Route::Raw(repo, revision, path) => files::raw(state, incoming, (repo, revision, path)),
        Route::Cache(repo, revision, path) => {
            files::cached(state, incoming, (repo, revision, path))
        }
        Route::Cdn(_) | Route::Nowhere => {
            Err(Refusal::new(404, None, "Sorry, we can't find the page you are looking for."))
        }
    };
    answered.unwrap_or_else(|refusal| refusal.answer(is_api))
}

/// Where a repository that moved is now.
fn new_place(state: &State, asked: &Asked, is_api: bool, target: &str) -> Option<String> {
    let name = asked.route.repo()?;
    let new = state.moved.get(name)?;
    let rest = target.strip_prefix(&url_prefix(is_api, name.0, &name.1))?;
    Some(format!("{}{rest}", url_prefix(is_api, name.0, new)))
}

//! Patterns, as Python's `fnmatch` takes them: the hub's own tools use it, and no glob library has
//! exactly its rules.

/// Whether `pattern` matches the whole of `path`.
pub(in crate::hub) fn matches(pattern: &str, path: &str) -> bool {
    let mut pattern: Vec<char> = pattern.chars().collect();
    if pattern.last() == Some(&'/') {
        pattern.push('*');
    }
    let path: Vec<char> = path.chars().collect();
    let (mut rest, mut text) = (pattern.as_slice(), path.as_slice());
    // Where the last `*` was, and what it was tried up to: going back to the last one is enough.
    let mut star: Option<(&[char], &[char])> = None;
    loop {
        match rest {
            ['*', after @ ..] => {
                star = Some((after, text));
                rest = after;
                continue;
            }
            [] if text.is_empty() => return true,
            [] => {}
            _ => {
                if let [first, others @ ..] = text
                    && let Some(after) = match_one(rest, *first)
                {
                    (rest, text) = (after, others);
                    continue;
                }
            }
        }
        let Some((after, [_, tail @ ..])) = star else { return false };
        star = Some((after, tail));
        (rest, text) = (after, tail);
    }
}

/// What is left of the pattern when its first element, which is no `*`, matches `c`.
fn match_one(pattern: &[char], c: char) -> Option<&[char]> {
    match pattern {
        ['?', rest @ ..] => Some(rest),
        ['[', rest @ ..] => match set(rest) {
            Some((members, after)) => contains(members, c).then_some(after),
            // A bracket that is never closed means itself.
            None => (c == '[').then_some(rest),
        },
        [first, rest @ ..] => (*first == c).then_some(rest),
        [] => None,
    }
}

/// Splits behind the bracket that closes a set: `]` in the first place is a member.
fn set(pattern: &[char]) -> Option<(&[char], &[char])> {
    let from = match pattern {
        ['!', ']', ..] => 2,
        ['!', ..] | [']', ..] => 1,
        _ => 0,
    };
    let end = from + pattern.get(from..)?.iter().position(|c| *c == ']')?;
    Some((pattern.get(..end)?, pattern.get(end + 1..)?))
}

fn contains(members: &[char], c: char) -> bool {
    let (mut left, negated) = match members {
        ['!', rest @ ..] => (rest, true),
        _ => (members, false),
    };
    let mut found = false;
    loop {
        match left {
            [low, '-', high, rest @ ..] => {
                found |= (*low..=*high).contains(&c);
                left = rest;
            }
            [one, rest @ ..] => {
                found |= *one == c;
                left = rest;
            }
            [] => return found != negated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_mean_what_fnmatch_takes_them_for() {
        for (pattern, path, expected) in [
            ("*.json", "config.json", true),
            ("*.json", "a/b/config.json", true),
            ("*.json", "config.jsonl", false),
            ("config.json", "a/config.json", false),
            ("onnx/", "onnx/model.onnx", true),
            ("onnx/", "onnx", false),
            ("onnx/*", "onnx/a/b", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("model-0000?-of-*", "model-00001-of-00002.safetensors", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[!a-c]x", "dx", true),
            ("[]]x", "]x", true),
            ("[!]]x", "]x", false),
            ("[a-]x", "-x", true),
            ("[x", "[x", true),
            ("[x", "x", false),
            ("{a,b}", "a", false),
            ("{a,b}", "{a,b}", true),
            ("**/x", "a/x", true),
            ("**/x", "x", false),
            ("A*", "a", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("?", "ü", true),
            ("a\\*", "a\\xyz", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern:?} {path:?}");
        }
    }

    #[test]
    fn a_hostile_pattern_ends() {
        assert!(!matches(&"*a".repeat(200), &"a".repeat(199)));
        assert!(matches(&"*a".repeat(200), &"a".repeat(200)));
    }
}

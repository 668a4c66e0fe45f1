//! The `curl` lines of a page, with the answers that are printed there.

use crate::http::Response;

/// A command and what it prints.
pub(crate) struct Shown {
    pub(crate) command: String,
    pub(crate) output: String,
}

/// Every `$ curl` in a page's console blocks.
pub(crate) fn curls(page: &str) -> Vec<Shown> {
    let blocks = page.split("```console\n").skip(1);
    let blocks = blocks.map(|block| block.split("```").next().unwrap_or_default());
    let mut shown: Vec<Shown> = Vec::new();
    for block in blocks {
        for line in block.lines() {
            match line.strip_prefix("$ ") {
                Some(command) => shown.push(Shown {
                    command: command.to_owned(),
                    output: String::new(),
                }),
                None => {
                    let output = &mut shown.last_mut().unwrap().output;
                    output.push_str(line);
                    output.push('\n');
                }
            }
        }
    }
    shown.retain(|one| one.command.starts_with("curl "));
    shown
}

impl Shown {
    /// The request that curl makes of its arguments: as much of them as our pages use.
    pub(crate) fn request(&self) -> String {
        let (mut method, mut fields, mut target) = ("GET", String::new(), None);
        let words = words(&self.command);
        let mut words = words.iter().map(String::as_str).skip(1);
        while let Some(word) = words.next() {
            match word {
                "-s" | "-si" => {}
                "-X" => method = words.next().unwrap(),
                "-H" => {
                    fields.push_str(words.next().unwrap());
                    fields.push_str("\r\n");
                }
                url => target = Some(url),
            }
        }
        let url = target.unwrap();
        let (host, path) = url.split_once('/').unwrap();
        format!(
            "{method} /{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: curl/8.14.1\r\nAccept: */*\r\n{fields}"
        )
    }

    /// What curl prints of a response, but for its date.
    pub(crate) fn prints(&self, response: &Response) -> String {
        if !self.command.starts_with("curl -si ") {
            return response.body.clone();
        }
        let fields = response.fields.join("\n");
        format!("{}\n{fields}\n{}", response.status_line, response.body)
    }
}

/// Without the line of the date.
pub(crate) fn undated(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with("date: "));
    lines.collect::<Vec<_>>().join("\n")
}

/// Words as a shell takes them, with single quotes.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in command.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words
}

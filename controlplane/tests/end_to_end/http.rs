//! A client that keeps its connection, and a backend that answers with its name.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crate::stage::PATIENCE;

/// A response whose body has a `Content-Length`.
#[derive(Debug, PartialEq)]
pub(crate) struct Response {
    pub(crate) status_line: String,
    pub(crate) fields: Vec<String>,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn status(&self) -> u16 {
        let mut words = self.status_line.split(' ');
        words.nth(1).unwrap().parse().unwrap()
    }
}

pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    pub(crate) fn get(&mut self, path: &str) -> io::Result<Response> {
        self.request(&format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n"))
    }

    /// `head`: request line and fields.
    pub(crate) fn request(&mut self, head: &str) -> io::Result<Response> {
        write!(self.stream.get_mut(), "{head}\r\n")?;
        let status_line = self.line()?;
        let mut fields = Vec::new();
        let mut length = 0;
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
            fields.push(line);
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(Response {
            status_line,
            fields,
            body: String::from_utf8(body).unwrap(),
        })
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}

/// One request on a connection of its own.
pub(crate) fn get(port: u16, path: &str) -> io::Result<Response> {
    Client::connect(port)?.get(path)
}

/// Requests without a pause, on one connection and now and then on a fresh one, until they shall end.
/// Not too often: each leaves a port in TIME_WAIT, and other tests want theirs.
pub(crate) struct Load {
    ended: Arc<AtomicBool>,
    client: JoinHandle<(usize, Vec<String>)>,
}

impl Load {
    pub(crate) fn start(port: u16) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let until = ended.clone();
        let client = thread::spawn(move || {
            let mut kept = Client::connect(port).unwrap();
            let (mut count, mut failures) = (0, Vec::new());
            while !until.load(Ordering::Relaxed) {
                count += 1;
                let response = match count % 64 {
                    0 => get(port, "/"),
                    _ => kept.get("/"),
                };
                match response {
                    Ok(response) if response.status() == 200 => {}
                    other => failures.push(format!("{other:?}")),
                }
            }
            (count, failures)
        });
        Self { ended, client }
    }

    /// How many there were; none failed.
    pub(crate) fn end(self) -> usize {
        self.ended.store(true, Ordering::Relaxed);
        let (count, failures) = self.client.join().unwrap();
        assert!(failures.is_empty(), "of {count} failed {failures:?}");
        assert!(count > 0);
        count
    }
}

/// Starts a backend that answers every request with `name`; gives its port.
pub(crate) fn backend(name: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || answer(stream, name));
        }
    });
    port
}

fn answer(stream: TcpStream, name: &str) -> io::Result<()> {
    let mut writer = stream.try_clone()?;
    for line in BufReader::new(stream).lines() {
        // A request without a body ends with its head.
        if line?.is_empty() {
            let length = name.len();
            write!(
                writer,
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{name}"
            )?;
        }
    }
    Ok(())
}

// A driver in Rust. It is a small real implementation: slots in the memory of this one process; nothing is shared or stored.
// Build: rustc --edition 2021 -O -o driver driver.rs      Run: slotmem conform exec:./driver
// To try your own, change `Segment` and `Server`. With a JSON library, which needs cargo, `find` to `bytes` are not needed.
use std::io::{BufRead, Write};

enum Failure {
    Refused(&'static str),   // the status
    Malformed(&'static str), // the request is wrong: the response is an error
}
use Failure::{Malformed, Refused};
type Answer = Result<String, Failure>; // the fields of the response

const SUCCESS: &str = r#""status":"APR_SUCCESS""#;
const HELLO: &str = r#""protocol":1,"implementation":"slots of a Rust process","version":"1","language":"Rust""#;
const CAPABILITIES: &str = r#""capabilities":["restart","dptr","doall"]"#;

fn done(fields: &[(&str, usize)]) -> Answer {
    Ok(fields.iter().fold(SUCCESS.to_string(), |told, (key, value)| told + &format!(",\"{key}\":{value}")))
}

// What a request says. This is no JSON parser, for the suite checks what it sends: what stands in quotes and has a colon
// behind it is a key, since a quote inside of a string has a backslash.

fn find<'a>(object: &'a str, key: &str) -> Result<&'a str, Failure> {
    let quoted = format!("\"{key}\"");
    let behind = object.match_indices(&quoted).map(|(at, _)| object[at + quoted.len()..].trim_start());
    let mut values = behind.filter_map(|rest| rest.strip_prefix(':'));
    values.next().map(str::trim_start).ok_or(Malformed("a field is missing"))
}

fn integer(object: &str, key: &str) -> Result<i64, Failure> {
    let value = find(object, key)?;
    let end = value.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(value.len());
    value[..end].parse().map_err(|_| Malformed("an integer must be an integer"))
}

fn text<'a>(object: &'a str, key: &str) -> Result<&'a str, Failure> { // as JSON spells it
    let value = find(object, key)?.strip_prefix('"').ok_or(Malformed("a string must be a string"))?;
    let mut escaped = false;
    let end = value.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    Ok(&value[..end.ok_or(Malformed("a string without its end"))?])
}

fn bytes(object: &str) -> Result<Vec<u8>, Failure> {
    let digits = text(object, "data")?.as_bytes();
    let pair = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
    digits.chunks(2).map(|each| pair(each).ok_or(Malformed("no hexadecimal data"))).collect()
}

fn hex(data: &[u8]) -> String { data.iter().map(|byte| format!("{byte:02x}")).collect() }

struct Segment { name: Option<String>, size: usize, data: Vec<u8>, inuse: Vec<bool>, pregrab: bool }

impl Segment {
    fn operate(&mut self, request: &str) -> Answer {
        match text(request, "op")? {
            "num_slots" => done(&[("value", self.inuse.len())]),
            "num_free_slots" => done(&[("value", self.inuse.iter().filter(|used| !**used).count())]),
            "slot_size" => done(&[("value", self.size)]),
            "grab" => {
                let id = self.inuse.iter().position(|used| !used).ok_or(Refused("APR_EINVAL"))?;
                self.inuse[id] = true;
                done(&[("id", id)])
            }
            "doall" => Ok(self.walk(find(request, "answers").unwrap_or("[]"))),
            op @ ("fgrab" | "release" | "get" | "put" | "dptr") => self.at_slot(op, request),
            _ => Err(Malformed("no such operation")),
        }
    }

    fn at_slot(&mut self, op: &str, request: &str) -> Answer {
        let id = integer(request, "id")?;
        let data = if op == "put" || find(request, "data").is_ok() { bytes(request)? } else { vec![] };
        let length = if find(request, "len").is_ok() { integer(request, "len")? } else { self.size as i64 };
        if op == "dptr" && data.len() > self.size { return Err(Malformed("more data than the slot has")) }
        let id = usize::try_from(id).ok().filter(|id| *id < self.inuse.len()).ok_or(Refused("APR_EINVAL"))?;
        if data.len() > self.size || length < 0 || length as usize > self.size { return Err(Refused("APR_EINVAL")) }
        let needs_use = op == "release" || self.pregrab && (op == "get" || op == "put");
        if needs_use && !self.inuse[id] { return Err(Refused("APR_NOTFOUND")) }
        if op != "dptr" { self.inuse[id] = op != "release" }
        let slot = &mut self.data[id * self.size..][..self.size];
        slot[..data.len()].copy_from_slice(&data);
        match op {
            "get" | "dptr" => Ok(format!("{SUCCESS},\"data\":\"{}\"", hex(&slot[..length as usize]))),
            _ => done(&[]),
        }
    }

    fn walk(&self, answers: &str) -> String {
        let (list, _) = answers.split_once(']').unwrap_or((answers, ""));
        let mut answers = list.split('"').skip(1).step_by(2); // what stands between two quotes
        let (mut slots, mut status) = (vec![], "APR_SUCCESS");
        for id in (0..self.inuse.len()).filter(|id| self.inuse[*id] || !self.pregrab) {
            slots.push(format!("\"{}\"", hex(&self.data[id * self.size..][..self.size])));
            status = answers.next().unwrap_or("APR_SUCCESS");
            if status != "APR_SUCCESS" { break }
        }
        format!("\"slots\":[{}],\"status\":\"{status}\"", slots.join(","))
    }
}

#[derive(Default)]
struct Server { open: bool, generation: i64, segments: Vec<Option<Segment>> } // None: it has ended, its number stays taken

impl Server {
    fn find(&self, request: &str) -> Result<(Option<String>, Option<usize>), Failure> { // name and number, if it has them
        let name = if find(request, "name")?.starts_with("null") { "" } else { text(request, "name")? };
        if !self.open { return Err(Refused("APR_ENOSHMAVAIL")) }
        if name.contains("\\u0000") || name.split('/').any(|part| part == "..") { return Err(Refused("APR_EINVAL")) }
        if name.is_empty() || name.eq_ignore_ascii_case("none") { return Ok((None, None)) }
        let same = |each: &Option<Segment>| matches!(each, Some(s) if s.name.as_deref() == Some(name));
        Ok((Some(name.to_string()), self.segments.iter().position(same)))
    }

    fn create(&mut self, request: &str) -> Answer {
        let (size, num) = (integer(request, "item_size")? as usize, integer(request, "item_num")? as usize);
        let pregrab = find(request, "type")?.contains("\"PREGRAB\"");
        let (name, known) = self.find(request)?;
        if known.is_none() { // 32: what httpd has before the slots
            let sum = |total: &usize| *total as u64 + num as u64 + 32;
            let total = size.checked_mul(num).filter(|total| sum(total) < 1 << 63).ok_or(Refused("APR_EINVAL"))?;
            if total + num > 1 << 30 { return Err(Refused("APR_ENOSPC")) } // more than this process may have
            self.segments.push(Some(Segment { name, size, data: vec![0; total], inuse: vec![false; num], pregrab }));
        }
        done(&[("segment", known.unwrap_or(self.segments.len() - 1))])
    }

    fn attach(&self, request: &str) -> Answer {
        let (name, known) = self.find(request)?;
        let number = known.ok_or(Refused(if name.is_some() { "APR_ENOENT" } else { "APR_ENOSHMAVAIL" }))?;
        let s = self.segments[number].as_ref().unwrap();
        done(&[("segment", number), ("item_size", s.size), ("item_num", s.inuse.len())])
    }

    fn operate(&mut self, number: i64, request: &str) -> Answer {
        let known = usize::try_from(number).ok().and_then(|number| self.segments.get_mut(number));
        known.ok_or(Malformed("no such segment"))?.as_mut().ok_or(Refused("APR_ENOSHMAVAIL"))?.operate(request)
    }

    fn end(&mut self, open: bool) -> Answer {
        if !self.open { return Err(Refused("APR_ENOSHMAVAIL")) }
        self.segments.iter_mut().for_each(|segment| *segment = None);
        (self.open, self.generation) = (open, self.generation + 1);
        if open { done(&[("generation", self.generation as usize)]) } else { done(&[]) }
    }
}

fn answer(server: &mut Server, request: &str) -> Answer {
    match text(request, "op")? {
        "hello" => {
            (server.open, server.generation) = (true, integer(request, "generation")?);
            Ok(format!("{HELLO},{CAPABILITIES}"))
        }
        "create" => server.create(request),
        "attach" => server.attach(request),
        "restart" => server.end(true),
        "close" => server.end(false),
        _ => server.operate(integer(request, "segment")?, request),
    }
}

fn main() {
    let mut server = Server::default();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        if matches!(text(&line, "op"), Ok("quit")) { break }
        let whole = line.starts_with('{') && line.trim_end().ends_with('}');
        match if whole { answer(&mut server, &line) } else { Err(Malformed("no JSON object")) } {
            Ok(fields) => println!("{{{fields}}}"),
            Err(Refused(status)) => println!("{{\"status\":\"{status}\"}}"),
            Err(Malformed(why)) => println!("{{\"error\":\"{why}\"}}"),
        }
        std::io::stdout().flush().unwrap();
    }
}

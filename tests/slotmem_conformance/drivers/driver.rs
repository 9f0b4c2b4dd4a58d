// A driver in Rust, of the standard library alone. It is a small real implementation: slots in the memory of this one process.
// Build: rustc --edition 2021 -O -o driver driver.rs      Run: slotmem conform exec:./driver
use std::collections::HashMap;
use std::io::{BufRead, Write};

#[derive(Clone)]
enum Json { Null, Bool, Int(i64), Text(String), List(Vec<Json>), Object(HashMap<String, Json>) }
use Json::*;
type Answer = Result<String, Failure>;
enum Failure { Refused(&'static str), Malformed(String) }
use Failure::*;

fn bad<T>(why: &str) -> Result<T, Failure> { Err(Malformed(why.to_string())) }

struct Reader<'a> { rest: &'a str }

impl Reader<'_> {
    fn eat(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        match self.rest.strip_prefix(token) { Some(rest) => { self.rest = rest; true } None => false }
    }
    fn expect(&mut self, token: &str) -> Result<(), Failure> { if self.eat(token) { Ok(()) } else { bad("not JSON") } }
    fn value(&mut self) -> Result<Json, Failure> {
        if self.eat("null") { return Ok(Null) }
        if self.eat("true") || self.eat("false") { return Ok(Bool) }
        if self.eat("\"") { return Ok(Text(self.text()?)) }
        if self.eat("[") {
            let mut list = vec![];
            if self.eat("]") { return Ok(List(list)) }
            loop { list.push(self.value()?); if self.eat("]") { return Ok(List(list)) } self.expect(",")?; }
        }
        if self.eat("{") {
            let mut object = HashMap::new();
            if self.eat("}") { return Ok(Object(object)) }
            loop {
                self.expect("\"")?;
                let key = self.text()?;
                self.expect(":")?;
                object.insert(key, self.value()?);
                if self.eat("}") { return Ok(Object(object)) }
                self.expect(",")?;
            }
        }
        let end = self.rest.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        digits.parse().map(Int).or_else(|_| bad("not JSON, or no integer"))
    }
    fn text(&mut self) -> Result<String, Failure> {
        let (mut units, mut chars) = (Vec::<u16>::new(), self.rest.char_indices());
        while let Some((at, c)) = chars.next() {
            let plain = match c {
                '"' => { self.rest = &self.rest[at + 1..]; return Ok(String::from_utf16_lossy(&units)) }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('u') => {
                        let digits: String = chars.by_ref().take(4).map(|(_, c)| c).collect();
                        match u16::from_str_radix(&digits, 16) { Ok(unit) => units.push(unit), Err(_) => return bad("not JSON") }
                        continue;
                    }
                    Some('n') => '\n', Some('t') => '\t', Some('r') => '\r', Some('b') => '\u{8}', Some('f') => '\u{c}',
                    Some(c @ ('"' | '\\' | '/')) => c,
                    _ => return bad("not JSON"),
                },
                c => c,
            };
            units.extend_from_slice(plain.encode_utf16(&mut [0; 2]));
        }
        bad("a string without its end")
    }
}

struct Request(HashMap<String, Json>);

impl Request {
    fn int(&self, key: &str) -> Result<i64, Failure> {
        match self.0.get(key) { Some(Int(n)) => Ok(*n), _ => bad(&format!("no integer {key}")) }
    }
    fn text(&self, key: &str) -> Result<&str, Failure> {
        match self.0.get(key) { Some(Text(text)) => Ok(text), _ => bad(&format!("no string {key}")) }
    }
    fn list(&self, key: &str) -> Result<&[Json], Failure> {
        match self.0.get(key) { Some(List(list)) => Ok(list), _ => bad(&format!("no array {key}")) }
    }
    fn bytes(&self) -> Result<Vec<u8>, Failure> {
        let text = self.text("data")?.as_bytes();
        let digit = |c: u8| match c { b'0'..=b'9' => Ok(c - b'0'), b'a'..=b'f' => Ok(c - b'a' + 10), _ => bad("no hexadecimal data") };
        if text.len() % 2 == 1 { return bad("half a byte") }
        text.chunks(2).map(|pair| Ok(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
    }
    fn name(&self) -> Result<Option<&str>, Failure> {
        match self.0.get("name") {
            Some(Null) => Ok(None),
            _ => self.text("name").map(|name| Some(name).filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("none"))),
        }
    }
}

struct Segment { name: Option<String>, size: usize, data: Vec<u8>, inuse: Vec<bool>, pregrab: bool }

#[derive(Default)]
struct Server { open: bool, generation: i64, segments: Vec<Option<Segment>> }

fn hex(bytes: &[u8]) -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() }
fn field(key: &str, value: impl std::fmt::Display) -> Answer { Ok(format!(",\"{key}\":{value}")) }

/* CLOCK_MONOTONIC: the standard library hides its zero point, so libc is asked, which std links anyway. */
fn now() -> i64 {
    #[repr(C)]
    struct Timespec { s: i64, ns: i64 }
    extern "C" { fn clock_gettime(clock: i32, time: *mut Timespec) -> i32; }
    const CLOCK_MONOTONIC: i32 = 1;
    let mut time = Timespec { s: 0, ns: 0 };
    unsafe { clock_gettime(CLOCK_MONOTONIC, &mut time) };
    time.s * 1_000_000_000 + time.ns
}

fn allocate<T: Clone>(zero: T, number: usize) -> Result<Vec<T>, Failure> {
    let mut made = Vec::new();
    made.try_reserve_exact(number).map_err(|_| Refused("APR_ENOSPC"))?;
    made.resize(number, zero);
    Ok(made)
}

impl Server {
    fn operate(&mut self, request: &Request, number: i64) -> Answer {
        let op = request.text("op")?;
        if !["grab", "fgrab", "release", "get", "put", "dptr", "num_slots", "num_free_slots", "slot_size"].contains(&op) {
            return bad("no such operation");
        }
        let known = usize::try_from(number).ok().and_then(|n| self.segments.get_mut(n));
        let Some(segment) = known else { return bad("no such segment") };
        let takes_id = ["fgrab", "release", "get", "put", "dptr"].contains(&op);
        let id = if takes_id { request.int("id")? } else { 0 };
        let data = if op == "put" || request.0.contains_key("data") { request.bytes()? } else { vec![] };
        let Some(s) = segment else { return Err(Refused("APR_ENOSHMAVAIL")) };
        match op {
            "num_slots" => return field("value", s.inuse.len()),
            "slot_size" => return field("value", s.size),
            "num_free_slots" => return field("value", s.inuse.iter().filter(|used| !**used).count()),
            "grab" => {
                let id = s.inuse.iter().position(|used| !used).ok_or(Refused("APR_EINVAL"))?;
                s.inuse[id] = true;
                return field("id", id);
            }
            _ => (),
        }
        let id = usize::try_from(id).ok().filter(|id| *id < s.inuse.len()).ok_or(Refused("APR_EINVAL"))?;
        let slot = &mut s.data[id * s.size..(id + 1) * s.size];
        if op == "dptr" && data.len() > slot.len() { return bad("more data than the slot has") }
        let len = if op == "get" && request.0.contains_key("len") { request.int("len")? } else { slot.len() as i64 };
        if len < 0 || len as usize > slot.len() || data.len() > slot.len() { return Err(Refused("APR_EINVAL")) }
        let needs_use = op == "release" || s.pregrab && (op == "get" || op == "put");
        if needs_use && !s.inuse[id] { return Err(Refused("APR_NOTFOUND")) }
        if op != "dptr" { s.inuse[id] = op != "release" }
        slot[..data.len()].copy_from_slice(&data);
        if op == "get" || op == "dptr" { field("data", format!("\"{}\"", hex(&slot[..len as usize]))) } else { Ok(String::new()) }
    }

    fn create(&mut self, request: &Request, attach: bool) -> Answer {
        let name = request.name()?;
        let shape = if attach { None } else { Some((request.int("item_size")?, request.int("item_num")?, request.list("type")?)) };
        if !self.open || attach && name.is_none() { return Err(Refused("APR_ENOSHMAVAIL")) }
        if name.is_some_and(|name| name.contains('\0') || name.split('/').any(|part| part == "..")) { return Err(Refused("APR_EINVAL")) }
        let known = self.segments.iter().position(|each| name.is_some() && each.as_ref().is_some_and(|s| s.name.as_deref() == name));
        match (shape, known) {
            (Some(_), Some(number)) => field("segment", number),
            (None, None) => Err(Refused("APR_ENOENT")),
            (None, Some(number)) => {
                let s = self.segments[number].as_ref().unwrap();
                Ok(format!(",\"segment\":{number},\"item_size\":{},\"item_num\":{}", s.size, s.inuse.len()))
            }
            (Some((size, num, flags)), None) => {
                let (size, num) = (size as usize, num as usize);
                // 32: what httpd has before the slots
                let total = size.checked_mul(num).filter(|total| *total as u64 + num as u64 + 32 < 1 << 63).ok_or(Refused("APR_EINVAL"))?;
                let pregrab = flags.iter().any(|flag| matches!(flag, Text(text) if text == "PREGRAB"));
                let name = name.map(str::to_string);
                if total + num > 1 << 30 { return Err(Refused("APR_ENOSPC")) } // more than this process may have
                self.segments.push(Some(Segment { name, size, data: allocate(0, total)?, inuse: allocate(false, num)?, pregrab }));
                field("segment", self.segments.len() - 1)
            }
        }
    }

    fn answer(&mut self, request: &Request) -> Answer {
        match request.text("op")? {
            "create" => self.create(request, false),
            "attach" => self.create(request, true),
            "batch" => {
                let number = request.int("segment")?;
                let mut responses = vec![];
                for each in request.list("requests")? {
                    let Object(fields) = each else { return bad("a request that is no object") };
                    let start = now();
                    let told = told(self.operate(&Request(fields.clone()), number))?;
                    responses.push(format!("{{{told},\"start\":{start},\"end\":{}}}", now()));
                }
                field("responses", format!("[{}]", responses.join(",")))
            }
            "restart" | "close" => {
                let restart = request.text("op")? == "restart";
                if restart && !self.open { return Err(Refused("APR_ENOSHMAVAIL")) }
                self.segments.iter_mut().for_each(|segment| *segment = None); // the numbers stay taken
                self.open = restart;
                self.generation += 1;
                if restart { field("generation", self.generation) } else { Ok(String::new()) }
            }
            _ => self.operate(request, request.int("segment")?),
        }
    }
}

/* A refusal is a response like any other; what is malformed is not. */
fn told(answer: Answer) -> Answer {
    match answer {
        Ok(fields) => Ok(format!("\"status\":\"APR_SUCCESS\"{fields}")),
        Err(Refused(status)) => Ok(format!("\"status\":\"{status}\"")),
        Err(malformed) => Err(malformed),
    }
}

fn respond(server: &mut Server, line: &str) -> Option<Answer> {
    let mut reader = Reader { rest: line };
    let request = match reader.value() { Ok(Object(fields)) if reader.rest.trim().is_empty() => Request(fields), _ => return Some(bad("a line that is no request")) };
    match request.text("op") {
        Ok("quit") => None,
        Ok("hello") => Some(request.int("generation").map(|generation| {
            (server.open, server.generation) = (true, generation);
            String::from("\"protocol\":1,\"implementation\":\"slots of a Rust process\",\"version\":\"1\",\"language\":\"Rust\",\"capabilities\":[\"batch\",\"restart\",\"dptr\"]")
        })),
        _ => Some(told(server.answer(&request))),
    }
}

fn main() {
    let mut server = Server::default();
    for line in std::io::stdin().lock().lines() {
        let answer = match line { Ok(line) => respond(&mut server, &line), Err(_) => Some(bad("a line that is not UTF-8")) };
        let object = match answer {
            None => return,
            Some(Ok(fields)) => fields,
            Some(Err(Malformed(why))) => format!("\"error\":\"{why}\""),
            Some(Err(Refused(status))) => format!("\"error\":\"{status}\""),
        };
        println!("{{{object}}}");
        std::io::stdout().flush().unwrap();
    }
}

//! The C interface of the policy engine: regorus' interpreter, with strict builtin errors, a time limit and the
//! checks of checks.rs. The header is ../capstan_rego.h; it says what each function promises.
//!
//! Every entry point is panic-safe and takes (pointer, size) UTF-8. There is no global state but a silent panic hook and
//! the allocator of memory.rs.
mod checks;
mod memory;

use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, LimitError, Rc, Value};
use std::num::NonZeroU32;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Once;
use std::time::{Duration, Instant};

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Text {
    data: *const u8,
    size: usize,
}

#[repr(C)]
pub struct ModuleText {
    path: Text,
    source: Text,
}

#[repr(C)]
pub struct Buffer {
    data: *mut u8,
    size: usize,
    capacity: usize,
}

#[repr(C)]
pub struct Limits {
    max_input_bytes: u64,
    max_output_bytes: u64,
}

#[repr(i32)]
#[derive(Clone, Copy, PartialEq)]
pub enum Code {
    Ok = 0,
    Undefined = 1,
    InvalidArgument = 2,
    BadModule = 3,
    EvaluationError = 4,
    Timeout = 5,
    TooLarge = 6,
    Panic = 7,
}

type Outcome = Result<(Code, String), (Code, String)>;

/// Modules ready to be evaluated. Never changes after it is made: each evaluation works on a clone of the engine.
pub struct Policy {
    engine: Engine,
    max_input_bytes: usize,
    max_output_bytes: usize,
}

const _: fn() = || {
    fn is_thread_safe<T: Send + Sync>() {}
    is_thread_safe::<Policy>()
};

/// Work units of the interpreter between two looks at the clock: what takes too much memory is to end before the next
/// builtin makes eight times as much of it.
const TIMER_CHECK_INTERVAL: NonZeroU32 = NonZeroU32::new(1).unwrap();

fn fail<E: ToString>(code: Code) -> impl Fn(E) -> (Code, String) {
    move |error| (code, error.to_string())
}

unsafe fn text<'a>(text: Text, what: &str) -> Result<&'a str, (Code, String)> {
    if text.size == 0 {
        return Ok("");
    }
    if text.data.is_null() || text.size > isize::MAX as usize {
        return Err((Code::InvalidArgument, format!("{what}: bad pointer or size")));
    }
    std::str::from_utf8(std::slice::from_raw_parts(text.data, text.size))
        .map_err(|e| (Code::InvalidArgument, format!("{what}: not UTF-8: {e}")))
}

/// Runs `f`, turns a panic into a code and hands the text over to the caller.
fn guarded(out: *mut Buffer, f: impl FnOnce() -> Outcome) -> Code {
    // The caller gets the message of a panic; without this it is printed to standard error as well.
    static QUIET: Once = Once::new();
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    let (code, message) = match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(result)) | Ok(Err(result)) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|s| s.to_string());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            (Code::Panic, format!("panic: {}", text.unwrap_or_default()))
        }
    };
    if !out.is_null() {
        let mut bytes = std::mem::ManuallyDrop::new(message.into_bytes());
        unsafe {
            out.write(Buffer {
                data: bytes.as_mut_ptr(),
                size: bytes.len(),
                capacity: bytes.capacity(),
            })
        };
    }
    code
}

unsafe fn parse(modules: *const ModuleText, count: usize) -> Result<Engine, (Code, String)> {
    if modules.is_null() && count != 0 {
        return Err((Code::InvalidArgument, "modules: null".into()));
    }
    let mut engine = Engine::new();
    engine.set_strict_builtin_errors(true);
    engine.set_gather_prints(true); // otherwise print() writes to standard error
    for module in if count == 0 { &[][..] } else { std::slice::from_raw_parts(modules, count) } {
        let path = text(module.path, "module path")?.to_string();
        let source = text(module.source, &path)?.to_string();
        engine.add_policy(path, source).map_err(fail(Code::BadModule))?;
    }
    Ok(engine)
}

fn describe(engine: &mut Engine) -> String {
    let modules = engine.get_modules().iter().map(|module| {
        serde_json::json!({
            "path": module.package.span.source.get_path(),
            "package": checks::package(module),
            "rego_v1": checks::imports_rego_v1(module),
            "rules": checks::rule_names(module),
        })
    });
    serde_json::Value::from_iter(modules).to_string()
}

fn evaluate(policy: &Policy, rule: &str, input: &str, timeout: Duration) -> Outcome {
    if input.len() > policy.max_input_bytes {
        let limit = policy.max_input_bytes;
        return Err((
            Code::TooLarge,
            format!("input is {} bytes, at most {limit} are taken", input.len()),
        ));
    }
    let input =
        Value::from_json_str(input).map_err(|e| (Code::InvalidArgument, format!("input: {e}")))?;
    let mut engine = policy.engine.clone();
    engine.set_execution_timer_config(ExecutionTimerConfig {
        limit: timeout,
        check_interval: TIMER_CHECK_INTERVAL,
    });
    engine.set_input(input);
    let (result, exceeded) =
        memory::metered(Instant::now() + timeout, || engine.eval_rule(rule.to_string()));
    if exceeded {
        let limit = memory::LIMIT_BYTES >> 20;
        return Err((Code::EvaluationError, format!("evaluation takes more than {limit} MiB")));
    }
    let value = result.map_err(|error| {
        let timeout = matches!(
            error.downcast_ref::<LimitError>(),
            Some(LimitError::TimeLimitExceeded { .. })
        );
        (if timeout { Code::Timeout } else { Code::EvaluationError }, error.to_string())
    })?;
    if value == Value::Undefined {
        return Ok((Code::Undefined, format!("{rule} is undefined")));
    }
    // Not Value::to_json_str(), which pretty-prints.
    let json = serde_json::to_string(&value).map_err(fail(Code::EvaluationError))?;
    if json.len() > policy.max_output_bytes {
        let limit = policy.max_output_bytes;
        return Err((
            Code::EvaluationError,
            format!("result is {} bytes, at most {limit} are taken", json.len()),
        ));
    }
    Ok((Code::Ok, json))
}

/// # Safety
/// Pointers are valid for their sizes; `out` is writable or null.
#[no_mangle]
pub unsafe extern "C" fn capstan_rego_describe(
    modules: *const ModuleText,
    count: usize,
    out: *mut Buffer,
) -> Code {
    guarded(out, || Ok((Code::Ok, describe(&mut parse(modules, count)?))))
}

/// # Safety
/// Pointers are valid for their sizes; `rule`, `limits` and `out_policy` are not null.
#[no_mangle]
pub unsafe extern "C" fn capstan_rego_compile(
    modules: *const ModuleText,
    count: usize,
    rule: Text,
    limits: *const Limits,
    out_policy: *mut *mut Policy,
    out_error: *mut Buffer,
) -> Code {
    guarded(out_error, || {
        if out_policy.is_null() || limits.is_null() {
            return Err((Code::InvalidArgument, "null argument".into()));
        }
        *out_policy = std::ptr::null_mut();
        let mut engine = parse(modules, count)?;
        checks::check(engine.get_modules()).map_err(fail(Code::BadModule))?;
        let rule: Rc<str> = text(rule, "rule")?.into();
        engine.compile_with_entrypoint(&rule).map_err(fail(Code::BadModule))?;
        let policy = Policy {
            engine,
            max_input_bytes: (*limits).max_input_bytes as usize,
            max_output_bytes: (*limits).max_output_bytes as usize,
        };
        *out_policy = Box::into_raw(Box::new(policy));
        Ok((Code::Ok, String::new()))
    })
}

/// # Safety
/// `policy` comes from capstan_rego_compile and is not freed; pointers are valid for their sizes.
#[no_mangle]
pub unsafe extern "C" fn capstan_rego_evaluate(
    policy: *const Policy,
    rule: Text,
    input: Text,
    timeout_ns: u64,
    out: *mut Buffer,
) -> Code {
    guarded(out, || {
        let policy = policy.as_ref().ok_or((Code::InvalidArgument, "policy: null".to_string()))?;
        evaluate(
            policy,
            text(rule, "rule")?,
            text(input, "input")?,
            Duration::from_nanos(timeout_ns),
        )
    })
}

/// # Safety
/// `policy` comes from capstan_rego_compile, is freed once and no evaluation of it is under way.
#[no_mangle]
pub unsafe extern "C" fn capstan_rego_free_policy(policy: *mut Policy) {
    if !policy.is_null() {
        let _ = catch_unwind(AssertUnwindSafe(|| drop(Box::from_raw(policy))));
    }
}

/// # Safety
/// `buffer` was filled by this library; it is emptied, so freeing it again does nothing.
#[no_mangle]
pub unsafe extern "C" fn capstan_rego_free_buffer(buffer: *mut Buffer) {
    if let Some(b) = buffer.as_mut() {
        if !b.data.is_null() && b.capacity != 0 {
            drop(Vec::from_raw_parts(b.data, b.size, b.capacity));
        }
        *b = Buffer { data: std::ptr::null_mut(), size: 0, capacity: 0 };
    }
}

//! What a module must not contain, read from its syntax tree before anything is evaluated.
//!
//! The interpreter has no limit on how deep functions call each other: runaway recursion overflows the
//! native stack, which no timer and no catch_unwind stops. Hence the call graph is bounded here.
use regorus::unstable::{Expr, Literal, Module, Query, Ref, Rule, RuleHead, Span, BUILTINS};
use std::collections::{BTreeMap, BTreeSet, HashSet};

type Path = Vec<String>;

/// Longest chain of rules and functions that use each other.
const MAX_CALL_DEPTH: usize = 32;

/// Deepest expression: the interpreter, the analyser and the destructor all recurse. The parser bounds parentheses and
/// comprehensions by itself, but not a chain of operators.
const MAX_EXPRESSION_DEPTH: usize = 64;

/// Most digits of a width or precision in a format of sprintf.
const MAX_WIDTH_DIGITS: usize = 3;

/// Builtins whose result can be far larger than their arguments, with the argument that must be written out. What the
/// interpreter cannot allocate ends the process.
const LITERAL_ARGUMENT: &[(&str, usize)] = &[("sprintf", 0), ("replace", 2), ("regex.replace", 2)];

/// Builtins that a policy may not call, and why.
const REFUSED: &[(&str, &str)] = &[
    ("http.send", "reaches outside the engine"),
    ("net.lookup_ip_addr", "reaches outside the engine"),
    ("opa.runtime", "reads the machine, so a decision cannot be replayed"),
    ("rand.intn", "is random, so a decision cannot be replayed"),
    (
        "time.now_ns",
        "reads the clock, so a decision cannot be replayed (use input.evaluation_time)",
    ),
    ("uuid.rfc4122", "is random, so a decision cannot be replayed"),
    ("numbers.range", "allocates as much as its arguments say"),
    ("numbers.range_step", "allocates as much as its arguments say"),
    ("net.cidr_expand", "allocates as much as its arguments say"),
    ("bits.lsh", "allocates as much as its arguments say"),
    ("strings.replace_n", "can make a result far larger than its arguments"),
];

/// Tests may use `with`; they never take part in a decision.
pub fn is_test(module: &Module) -> bool {
    module.package.span.source.get_path().ends_with("_test.rego")
}

pub fn imports_rego_v1(module: &Module) -> bool {
    module.imports.iter().any(|i| static_path(&i.refr).0 == ["rego", "v1"])
}

/// The package without the leading `data`.
pub fn package(module: &Module) -> Path {
    static_path(&module.package.refr).0
}

/// Names of the rules and functions of a module, each once, in order.
pub fn rule_names(module: &Module) -> BTreeSet<String> {
    module.policy.iter().filter_map(|rule| rule_path(rule).into_iter().next()).collect()
}

/// Fails on the first thing that makes this set of modules unsafe to evaluate; the message names file and line.
pub fn check(modules: &[Ref<Module>]) -> Result<(), String> {
    let mut names: BTreeMap<Path, HashSet<String>> = BTreeMap::new();
    for module in modules {
        names.entry(data_path(package(module))).or_default().extend(rule_names(module));
    }
    let mut graph: BTreeMap<Path, Uses> = BTreeMap::new();
    for module in modules {
        let package = data_path(package(module));
        check_imports(module, &package)?;
        for rule in &module.policy {
            let mut uses = Uses::default();
            uses.rule(rule);
            if let Some(problem) = uses.problem {
                return Err(problem);
            }
            if let (false, Some(span)) = (is_test(module), &uses.with) {
                return Err(at(span, "`with` is for tests only"));
            }
            uses.resolve_names(module, &package);
            uses.check_names(module, &names[&package])?;
            let node = [package.clone(), rule_path(rule)].concat();
            graph.entry(node).or_default().merge(uses);
        }
    }
    let edges = resolve(&graph)?;
    let mut heights = BTreeMap::new();
    for node in graph.keys() {
        height(node, &edges, &mut Vec::new(), &mut heights)?;
    }
    Ok(())
}

/// The interpreter does not evaluate a rule that is named through an import of its own package: it is silently
/// undefined.
fn check_imports(module: &Module, own: &Path) -> Result<(), String> {
    let around =
        |i: &&regorus::unstable::Import| import(i).is_some_and(|(_, path)| own.starts_with(&path));
    match module.imports.iter().find(around) {
        Some(i) => Err(at(&i.span, "a package must not import itself or what it is part of")),
        None => Ok(()),
    }
}

/// What one rule uses.
#[derive(Default)]
struct Uses {
    calls: Vec<Call>,
    references: Vec<(Path, Span)>,
    /// Declared: by `:=`, `some`, `every`, as an argument. They hide rules of the same name.
    locals: HashSet<String>,
    /// May be bound: by `=` or as an index.
    bound: HashSet<String>,
    /// What the references stand for.
    uses: Vec<Path>,
    with: Option<Span>,
    depth: usize,
    /// The first thing that is refused.
    problem: Option<String>,
}

struct Call {
    name: String,
    /// What the name can stand for: a function of this package, or of an imported one.
    candidates: Vec<Path>,
    span: Span,
}

impl Uses {
    fn merge(&mut self, other: Uses) {
        self.calls.extend(other.calls);
        self.uses.extend(other.uses);
    }

    fn rule(&mut self, rule: &Rule) {
        match rule {
            Rule::Default { args, value, .. } => {
                args.iter().for_each(|a| declare(a, &mut self.locals));
                self.expr(value);
            }
            Rule::Spec { head, bodies, .. } => {
                match head {
                    RuleHead::Compr { refr, assign, .. } => {
                        self.head_indexes(refr);
                        assign.iter().for_each(|a| self.expr(&a.value));
                    }
                    RuleHead::Set { refr, key, .. } => {
                        self.head_indexes(refr);
                        key.iter().for_each(|k| self.expr(k));
                    }
                    RuleHead::Func { args, assign, .. } => {
                        args.iter().for_each(|a| declare(a, &mut self.locals));
                        args.iter().for_each(|a| self.expr(a));
                        assign.iter().for_each(|a| self.expr(&a.value));
                    }
                }
                for body in bodies {
                    body.assign.iter().for_each(|a| self.expr(&a.value));
                    self.query(&body.query);
                }
            }
        }
    }

    /// `found[f(x)] := …`: the head is not a reference to itself, its indexes are expressions.
    fn head_indexes(&mut self, head: &Expr) {
        match head {
            Expr::RefDot { refr, .. } => self.head_indexes(refr),
            Expr::RefBrack { refr, index, .. } => {
                self.head_indexes(refr);
                self.expr(index);
            }
            _ => {}
        }
    }

    fn query(&mut self, query: &Query) {
        for stmt in &query.stmts {
            match &stmt.literal {
                Literal::SomeVars { vars, .. } => {
                    self.locals.extend(vars.iter().map(|v| v.text().to_string()))
                }
                Literal::SomeIn { key, value, collection, .. } => {
                    for pattern in key.iter().chain([value]) {
                        declare(pattern, &mut self.locals);
                        self.expr(pattern);
                    }
                    self.expr(collection);
                }
                Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.expr(expr),
                Literal::Every { key, value, domain, query, .. } => {
                    self.locals.extend(key.iter().chain([value]).map(|v| v.text().to_string()));
                    self.expr(domain);
                    self.query(query);
                }
            }
            for with in &stmt.with_mods {
                self.with.get_or_insert_with(|| with.span.clone());
                self.expr(&with.r#as);
            }
        }
    }

    fn expr(&mut self, expr: &Expr) {
        if self.depth == MAX_EXPRESSION_DEPTH {
            let message = format!("expression is more than {MAX_EXPRESSION_DEPTH} deep");
            self.problem.get_or_insert(at(expr.span(), &message));
            return;
        }
        self.depth += 1;
        self.parts(expr);
        self.depth -= 1;
    }

    fn parts(&mut self, expr: &Expr) {
        match expr {
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. } => {}
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => {
                self.reference_parts(expr);
                let (path, _) = static_path(expr);
                if !path.is_empty() {
                    self.references.push((path, expr.span().clone()));
                }
            }
            Expr::Array { items, .. } | Expr::Set { items, .. } => {
                items.iter().for_each(|i| self.expr(i))
            }
            Expr::Object { fields, .. } => fields.iter().for_each(|(_, key, value)| {
                self.expr(key);
                self.expr(value);
            }),
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.expr(term);
                self.query(query);
            }
            Expr::ObjectCompr { key, value, query, .. } => {
                self.expr(key);
                self.expr(value);
                self.query(query);
            }
            Expr::Call { span, fcn, params, .. } => {
                let path = static_path(fcn).0;
                let name = path.join(".");
                if let Some(problem) = refusal(&name, params) {
                    self.problem.get_or_insert(at(span, &problem));
                }
                self.calls.push(Call { name, candidates: vec![path], span: span.clone() });
                params.iter().for_each(|p| self.expr(p));
            }
            Expr::UnaryExpr { expr, .. } => self.expr(expr),
            Expr::AssignExpr { op, lhs, rhs, .. } => {
                if *op == regorus::unstable::AssignOp::ColEq {
                    declare(lhs, &mut self.locals);
                } else {
                    declare(lhs, &mut self.bound);
                    declare(rhs, &mut self.bound);
                }
                self.expr(lhs);
                self.expr(rhs);
            }
            Expr::BinExpr { lhs, rhs, .. }
            | Expr::BoolExpr { lhs, rhs, .. }
            | Expr::ArithExpr { lhs, rhs, .. } => {
                self.expr(lhs);
                self.expr(rhs);
            }
            Expr::Membership { key, value, collection, .. } => {
                key.iter().for_each(|k| self.expr(k));
                self.expr(value);
                self.expr(collection);
            }
        }
    }

    /// Expressions inside a reference: its indexes, and its root when that is not a name.
    fn reference_parts(&mut self, expr: &Expr) {
        match expr {
            Expr::Var { .. } => {}
            Expr::RefDot { refr, .. } => self.reference_parts(refr),
            Expr::RefBrack { refr, index, .. } => {
                self.reference_parts(refr);
                declare(index, &mut self.bound);
                self.expr(index);
            }
            root => self.expr(root),
        }
    }

    /// Turns names as written into paths below `data`. References that start with a local name are dropped; calls
    /// never are, since a local name cannot be called.
    fn resolve_names(&mut self, module: &Module, package: &Path) {
        let imports: Vec<(String, Path)> = module.imports.iter().filter_map(import).collect();
        let expand = |path: &Path| -> Vec<Path> {
            let mut out = vec![[package.clone(), path.clone()].concat()];
            if path.first().is_some_and(|p| p == "data") {
                out.push(path.clone());
            }
            for (_, target) in imports.iter().filter(|(alias, _)| path.first() == Some(alias)) {
                out.push([target.clone(), path[1..].to_vec()].concat());
            }
            out
        };
        for call in &mut self.calls {
            call.candidates = expand(&call.candidates[0]);
        }
        self.references.retain(|(path, _)| !self.locals.contains(&path[0]));
        self.uses = self.references.iter().flat_map(|(path, _)| expand(path)).collect();
    }

    /// Refuses a name that nothing gives a value: the interpreter would find out only when it gets there.
    fn check_names(&self, module: &Module, package_rules: &HashSet<String>) -> Result<(), String> {
        let imports: HashSet<String> = module.imports.iter().filter_map(import_name).collect();
        let known = |name: &str| {
            ["input", "data", "_"].contains(&name)
                || self.bound.contains(name)
                || imports.contains(name)
                || package_rules.contains(name)
        };
        match self.references.iter().find(|(path, _)| !known(&path[0])) {
            Some((path, span)) => Err(at(span, &format!("undefined variable {}", path[0]))),
            None => Ok(()),
        }
    }
}

/// Notes the variables of a pattern (`[a, b] := …`, `some k, v in …`, arguments).
fn declare(pattern: &Expr, names: &mut HashSet<String>) {
    match pattern {
        Expr::Var { span, .. } => {
            names.insert(span.text().to_string());
        }
        Expr::Array { items, .. } => items.iter().for_each(|i| declare(i, names)),
        Expr::Object { fields, .. } => {
            fields.iter().for_each(|(_, _, value)| declare(value, names))
        }
        _ => {}
    }
}

/// Why a builtin may not be called this way, if so.
fn refusal(name: &str, params: &[Ref<Expr>]) -> Option<String> {
    if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
        return Some(format!("{name} is refused: it {why}"));
    }
    let (_, index) = LITERAL_ARGUMENT.iter().find(|(literal, _)| *literal == name)?;
    let value = match params.get(*index).map(|p| p.as_ref()) {
        Some(Expr::String { value, .. } | Expr::RawString { value, .. }) => value,
        _ => {
            return Some(format!(
                "argument {} of {name} must be a string that is written out",
                index + 1
            ))
        }
    };
    let wide = name == "sprintf" && value.as_string().is_ok_and(|format| has_wide_verb(format));
    wide.then(|| format!("sprintf: a width has at most {MAX_WIDTH_DIGITS} digits and is not *"))
}

/// Whether a verb such as %5.2f names a width or precision that is too long, or takes it from an argument.
fn has_wide_verb(format: &str) -> bool {
    format.split('%').skip(1).any(|verb| {
        let size: String = verb.chars().take_while(|c| "+-# 0123456789.*[]".contains(*c)).collect();
        size.contains('*')
            || size
                .split(|c: char| !c.is_ascii_digit())
                .any(|digits| digits.len() > MAX_WIDTH_DIGITS)
    })
}

/// Which rule uses which. A reference to part of a package stands for everything in that part.
fn resolve(graph: &BTreeMap<Path, Uses>) -> Result<BTreeMap<&Path, BTreeSet<&Path>>, String> {
    let mut edges: BTreeMap<&Path, BTreeSet<&Path>> = BTreeMap::new();
    for (node, uses) in graph {
        let targets = edges.entry(node).or_default();
        for call in &uses.calls {
            let own: Vec<&Path> = call
                .candidates
                .iter()
                .filter_map(|c| graph.get_key_value(c))
                .map(|(p, _)| p)
                .collect();
            if own.is_empty() && call.name != "print" && !BUILTINS.contains_key(call.name.as_str())
            {
                return Err(at(&call.span, &format!("undefined function {}", call.name)));
            }
            targets.extend(own);
        }
        for reference in &uses.uses {
            let above = (1..reference.len()).filter_map(|n| graph.get_key_value(&reference[..n]));
            let below = graph
                .range(reference.clone()..)
                .take_while(|(path, _)| path.starts_with(reference));
            targets.extend(above.chain(below).map(|(path, _)| path));
        }
    }
    Ok(edges)
}

/// Length of the longest chain of uses below `node`; fails on a cycle and on a chain that is too long.
fn height<'a>(
    node: &'a Path,
    edges: &BTreeMap<&'a Path, BTreeSet<&'a Path>>,
    open: &mut Vec<&'a Path>,
    heights: &mut BTreeMap<&'a Path, usize>,
) -> Result<usize, String> {
    if let Some(start) = open.iter().position(|o| *o == node) {
        let names: Vec<String> = open[start..].iter().chain([&node]).map(|p| p.join(".")).collect();
        return Err(format!("recursion: {}", names.join(" -> ")));
    }
    let too_deep = || {
        Err(format!(
            "{}: rules and functions use each other more than {MAX_CALL_DEPTH} deep",
            node.join(".")
        ))
    };
    if open.len() >= MAX_CALL_DEPTH {
        return too_deep();
    }
    if !heights.contains_key(node) {
        open.push(node);
        let mut below = 0;
        for target in edges.get(node).into_iter().flatten() {
            below = below.max(height(target, edges, open, heights)?);
        }
        open.pop();
        heights.insert(node, below + 1);
    }
    if open.len() + heights[node] > MAX_CALL_DEPTH {
        return too_deep();
    }
    Ok(heights[node])
}

/// The name that `import data.a.b as c` or `import data.a.c` gives.
fn import_name(import: &regorus::unstable::Import) -> Option<String> {
    match &import.r#as {
        Some(name) => Some(name.text().to_string()),
        None => static_path(&import.refr).0.pop(),
    }
}

/// That name and the path below `data`; imports of input and keywords name no rule.
fn import(import: &regorus::unstable::Import) -> Option<(String, Path)> {
    let (path, _) = static_path(&import.refr);
    (path[0] == "data").then_some((import_name(import)?, path))
}

fn data_path(path: Path) -> Path {
    [vec!["data".to_string()], path].concat()
}

fn rule_path(rule: &Rule) -> Path {
    let head = match rule {
        Rule::Default { refr, .. } => refr,
        Rule::Spec { head, .. } => match head {
            RuleHead::Compr { refr, .. }
            | RuleHead::Set { refr, .. }
            | RuleHead::Func { refr, .. } => refr,
        },
    };
    static_path(head).0
}

/// The leading part of a reference that is written out (`a.b["c"][x].d` is a, b, c), and whether that is all of it.
fn static_path(expr: &Expr) -> (Path, bool) {
    let extend = |base: &Expr, part: Option<String>| {
        let (mut path, whole) = static_path(base);
        match (whole, part) {
            (true, Some(part)) => {
                path.push(part);
                (path, true)
            }
            _ => (path, false),
        }
    };
    match expr {
        Expr::Var { span, .. } => (vec![span.text().to_string()], true),
        Expr::RefDot { refr, field, .. } => extend(refr, Some(field.0.text().to_string())),
        Expr::RefBrack { refr, index, .. } => extend(
            refr,
            match index.as_ref() {
                Expr::String { value, .. } | Expr::RawString { value, .. } => {
                    value.as_string().ok().map(|s| s.to_string())
                }
                _ => None,
            },
        ),
        _ => (Path::new(), false),
    }
}

fn at(span: &Span, message: &str) -> String {
    format!("{}:{}: {message}", span.source.get_path(), span.line)
}

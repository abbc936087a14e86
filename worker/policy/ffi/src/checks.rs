//! What a module must not contain, read from its syntax tree before anything is evaluated.
//!
//! The interpreter has no limit on how deep functions call each other: runaway recursion overflows the
//! native stack, which no timer and no catch_unwind stops. Hence the call graph is bounded here.
use regorus::unstable::{Expr, Literal, Module, Query, Ref, Rule, RuleHead, Span, BUILTINS};
use std::collections::{BTreeMap, BTreeSet, HashSet};

type Path = Vec<String>;

/// Longest chain of rules and functions that use each other.
const MAX_CALL_DEPTH: usize = 32;

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
    let mut graph: BTreeMap<Path, Uses> = BTreeMap::new();
    for module in modules {
        let package = data_path(package(module));
        for rule in &module.policy {
            let mut uses = Uses::default();
            uses.rule(rule);
            if let (false, Some(span)) = (is_test(module), &uses.with) {
                return Err(at(span, "`with` is for tests only"));
            }
            uses.resolve_names(module, &package);
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

/// What one rule uses.
#[derive(Default)]
struct Uses {
    calls: Vec<Call>,
    references: Vec<Path>,
    locals: HashSet<String>,
    with: Option<Span>,
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
        self.references.extend(other.references);
    }

    fn rule(&mut self, rule: &Rule) {
        match rule {
            Rule::Default { args, value, .. } => {
                args.iter().for_each(|a| self.declare(a));
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
                        args.iter().for_each(|a| self.declare(a));
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
                        self.declare(pattern);
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

    /// Notes the variables of a pattern (`[a, b] := …`, `some k, v in …`, arguments) as local.
    fn declare(&mut self, pattern: &Expr) {
        match pattern {
            Expr::Var { span, .. } => {
                self.locals.insert(span.text().to_string());
            }
            Expr::Array { items, .. } => items.iter().for_each(|i| self.declare(i)),
            Expr::Object { fields, .. } => {
                fields.iter().for_each(|(_, _, value)| self.declare(value))
            }
            _ => {}
        }
    }

    fn expr(&mut self, expr: &Expr) {
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
                    self.references.push(path);
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
                let candidates = vec![static_path(fcn).0];
                self.calls.push(Call {
                    name: candidates[0].join("."),
                    candidates,
                    span: span.clone(),
                });
                params.iter().for_each(|p| self.expr(p));
            }
            Expr::UnaryExpr { expr, .. } => self.expr(expr),
            Expr::AssignExpr { op, lhs, rhs, .. } => {
                if *op == regorus::unstable::AssignOp::ColEq {
                    self.declare(lhs);
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
            for (alias, target) in imports.iter().filter(|(alias, _)| path.first() == Some(alias)) {
                debug_assert_eq!(Some(alias), path.first());
                out.push([target.clone(), path[1..].to_vec()].concat());
            }
            out
        };
        for call in &mut self.calls {
            call.candidates = expand(&call.candidates[0]);
        }
        let locals = &self.locals;
        self.references = self
            .references
            .iter()
            .filter(|path| !locals.contains(&path[0]))
            .flat_map(expand)
            .collect();
    }
}

/// Which rule uses which. A reference to part of a package stands for everything in that part.
fn resolve(graph: &BTreeMap<Path, Uses>) -> Result<BTreeMap<&Path, BTreeSet<&Path>>, String> {
    let mut edges: BTreeMap<&Path, BTreeSet<&Path>> = BTreeMap::new();
    for (node, uses) in graph {
        let targets = edges.entry(node).or_default();
        for call in &uses.calls {
            if let Some((name, why)) = REFUSED.iter().find(|(name, _)| *name == call.name) {
                return Err(at(&call.span, &format!("{name} is refused: it {why}")));
            }
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
        for reference in &uses.references {
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

/// `import data.a.b as c` is (c, data.a.b). Imports of input and keywords name no rule.
fn import(import: &regorus::unstable::Import) -> Option<(String, Path)> {
    let (path, _) = static_path(&import.refr);
    let alias = match &import.r#as {
        Some(name) => name.text().to_string(),
        None => path.last()?.clone(),
    };
    (path[0] == "data").then_some((alias, path))
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

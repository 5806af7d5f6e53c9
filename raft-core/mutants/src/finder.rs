//! All the ways in which a file of rules can be changed.

use std::mem;
use std::ops::Range;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{BinOp, Block, Expr, ExprBinary, ImplItemFn, ItemFn, ItemImpl, Signature, Stmt, UnOp};

use crate::Mistake;
use crate::constant::{self, Known};
use crate::mutant::{Change, Findings, Shape};
use crate::parts;

/// Looks through the text of a file.
pub(crate) fn find(text: &str) -> Result<Findings, Mistake> {
    let file = syn::parse_file(text)?;
    let mut finder = Finder {
        text,
        findings: Findings::default(),
        of: None,
        function: String::new(),
        known: Known::new(),
    };
    finder.visit_file(&file);
    Ok(finder.findings)
}

struct Finder<'a> {
    text: &'a str,
    findings: Findings,
    /// The type whose methods these are.
    of: Option<String>,
    function: String,
    known: Known,
}

impl Finder<'_> {
    fn words(&self, node: &impl Spanned) -> &str {
        &self.text[node.span().byte_range()]
    }

    fn value(&self, expression: &Expr) -> Option<bool> {
        constant::value(expression, &self.known)
    }

    fn change(&mut self, shape: Shape, range: Range<usize>, line: usize, from: String, to: String) {
        let function = self.function.clone();
        self.findings.changes.push(Change { range, shape, function, line, from, to });
    }

    fn instead(&mut self, node: &Expr, to: impl Into<String>) {
        let (range, line) = (node.span().byte_range(), node.span().start().line);
        self.change(Shape::Expression, range, line, self.words(node).to_owned(), to.into());
    }

    /// A condition that is of no account, unless that is known or there is none.
    fn decided(&mut self, node: &Expr, values: &[bool]) {
        if self.value(node).is_none() && !parts::has_let(node) && !constant::is_literal(node) {
            for value in values {
                self.instead(node, value.to_string());
            }
        }
    }

    fn function(&mut self, signature: &Signature, block: &Block) {
        if let Some(word) = signature.constness {
            let range = word.span().byte_range();
            self.findings.consts.push(range.start..range.end + 1);
        }
        let name = signature.ident.to_string();
        let name = self.of.as_ref().map_or(name.clone(), |of| format!("{of}::{name}"));
        let outer = (mem::replace(&mut self.function, name), mem::take(&mut self.known));
        let begin = block.brace_token.span.open().byte_range().end;
        let line = signature.ident.span().start().line;
        if !block.stmts.is_empty() {
            for default in parts::defaults(&signature.output) {
                let from = "the body".to_owned();
                self.change(
                    Shape::Body,
                    begin..begin,
                    line,
                    from,
                    format!("return {default}").trim_end().to_owned(),
                );
            }
        }
        if matches!(signature.output, syn::ReturnType::Default) {
            self.leave_out_last(block);
        }
        self.visit_block(block);
        (self.function, self.known) = outer;
    }

    /// The last call of a block whose value nobody takes, left out.
    fn leave_out_last(&mut self, block: &Block) {
        if let Some(Stmt::Expr(last, None)) = block.stmts.last() {
            self.leave_out(last);
        }
    }

    /// The same of any expression whose value nobody takes.
    fn leave_out(&mut self, expression: &Expr) {
        match expression {
            Expr::Call(_) | Expr::MethodCall(_) | Expr::Assign(_) => self.instead(expression, "()"),
            Expr::Block(inner) => self.leave_out_last(&inner.block),
            Expr::ForLoop(inner) => self.leave_out_last(&inner.body),
            Expr::While(inner) => self.leave_out_last(&inner.body),
            Expr::Loop(inner) => self.leave_out_last(&inner.body),
            Expr::If(branches) => {
                if self.value(&branches.cond) != Some(false) {
                    self.leave_out_last(&branches.then_branch);
                }
                if let Some((_, other)) = &branches.else_branch {
                    self.leave_out(other);
                }
            }
            Expr::Match(choice) => {
                for arm in &choice.arms {
                    self.leave_out(&arm.body);
                }
            }
            _ => {}
        }
    }

    fn binary(&mut self, node: &Expr, binary: &ExprBinary) {
        let ExprBinary { left, op, right, .. } = binary;
        let joins = matches!(op, BinOp::And(_) | BinOp::Or(_));
        if joins {
            let neutral = matches!(op, BinOp::And(_));
            for side in [left, right] {
                let is_same = matches!(&**side, Expr::Binary(inner) if mem::discriminant(&inner.op) == mem::discriminant(op));
                if !is_same {
                    self.decided(side, &[neutral]);
                }
            }
        }
        let known = self.value(left).or_else(|| self.value(right)).is_some();
        if parts::has_let(node) || (joins && known) {
            return;
        }
        for other in parts::neighbours(op) {
            let [left, right] = [left, right].map(|side| match &**side {
                Expr::Binary(_) if joins => format!("({})", self.words(side)),
                _ => self.words(side).to_owned(),
            });
            self.instead(node, format!("{left} {other} {right}"));
        }
    }

    fn method(&mut self, node: &Expr, call: &syn::ExprMethodCall) {
        let name = call.method.to_string();
        let receiver = self.words(&call.receiver).to_owned();
        if let Some(other) = parts::other_method(&name) {
            let after = &self.text[call.method.span().byte_range().end..node.span().byte_range().end];
            let upto = &self.text[node.span().byte_range().start..call.method.span().byte_range().start];
            self.instead(node, format!("{upto}{other}{after}"));
        }
        if matches!(name.as_str(), "next" | "prev" | "filter") {
            self.instead(node, receiver);
        }
        for argument in &call.args {
            if let Expr::Closure(closure) = argument
                && parts::asks(&name)
                && !matches!(*closure.body, Expr::Block(_))
            {
                self.decided(&closure.body, &[true, false]);
            }
        }
    }

    /// What may stand in the place of this expression; not of what it consists of.
    fn expression(&mut self, node: &Expr) {
        match node {
            Expr::Binary(binary) => self.binary(node, binary),
            Expr::MethodCall(call) => self.method(node, call),
            Expr::Unary(unary) if matches!(unary.op, UnOp::Not(_)) => {
                self.instead(node, self.words(&unary.expr).to_owned());
            }
            Expr::Call(call) if self.words(&call.func) == "Some" => self.instead(node, "None"),
            Expr::Lit(literal) => {
                if let syn::Lit::Bool(is) = &literal.lit {
                    self.instead(node, (!is.value).to_string());
                }
            }
            Expr::If(branches) => self.decided(&branches.cond, &[true, false]),
            Expr::While(repeated) => self.decided(&repeated.cond, &[false]),
            _ => {}
        }
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        match item {
            syn::Item::Mod(_) | syn::Item::Const(_) | syn::Item::Static(_) | syn::Item::Macro(_) => {}
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_item_impl(&mut self, block: &'ast ItemImpl) {
        if parts::is_for_tests(&block.attrs) || parts::is_for_show(block) {
            return;
        }
        self.of = parts::type_name(&block.self_ty);
        visit::visit_item_impl(self, block);
        self.of = None;
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        if !parts::is_for_tests(&function.attrs) {
            self.function(&function.sig, &function.block);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        if !parts::is_for_tests(&function.attrs) {
            self.function(&function.sig, &function.block);
        }
    }

    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}

    fn visit_type(&mut self, _: &'ast syn::Type) {}

    fn visit_pat(&mut self, _: &'ast syn::Pat) {}

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}

    fn visit_expr_repeat(&mut self, node: &'ast syn::ExprRepeat) {
        self.visit_expr(&node.expr);
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if parts::is_for_tests(&local.attrs) {
            return;
        }
        if let (Some(name), Some(init)) = (parts::bound(&local.pat), &local.init)
            && let Some(value) = self.value(&init.expr)
        {
            self.known.insert(name, value);
        }
        visit::visit_local(self, local);
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        if let Stmt::Expr(expression, end) = statement {
            let is_update =
                matches!(expression, Expr::Binary(binary) if self.words(&binary.op).ends_with('='));
            match expression {
                Expr::Call(_) | Expr::MethodCall(_) | Expr::Assign(_) | Expr::Try(_) | Expr::Binary(_)
                    if end.is_some() && (is_update || !matches!(expression, Expr::Binary(_))) =>
                {
                    let (range, line) = (statement.span().byte_range(), statement.span().start().line);
                    self.change(
                        Shape::Statement,
                        range,
                        line,
                        self.words(statement).to_owned(),
                        String::new(),
                    );
                }
                Expr::ForLoop(_) | Expr::While(_) | Expr::Loop(_) => self.leave_out(expression),
                Expr::If(_) | Expr::Match(_) if end.is_some() => self.leave_out(expression),
                _ => {}
            }
        }
        visit::visit_stmt(self, statement);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        if parts::is_for_tests(&arm.attrs) {
            return;
        }
        if let Some((_, guard)) = &arm.guard {
            if self.value(guard) == Some(false) {
                return;
            }
            self.decided(guard, &[true, false]);
        }
        visit::visit_arm(self, arm);
    }

    fn visit_expr(&mut self, node: &'ast Expr) {
        if self.value(node).is_some() {
            return;
        }
        self.expression(node);
        if let Expr::If(branches) = node
            && self.value(&branches.cond) == Some(false)
        {
            // What a bug would do is not done.
            if let Some((_, other)) = &branches.else_branch {
                self.visit_expr(other);
            }
            return;
        }
        visit::visit_expr(self, node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in a file, as `from => to`.
    fn found(text: &str) -> Vec<String> {
        let changes = find(text).unwrap().changes;
        changes.into_iter().map(|Change { from, to, .. }| format!("{from} => {to}")).collect()
    }

    #[test]
    fn an_operator_is_changed_to_its_neighbours_and_a_condition_to_what_it_may_be() {
        let text = "fn f(a: u32, b: u32) { if a < b { g(); } }";
        assert_eq!(
            found(text),
            [
                "the body => return",
                "a < b => true",
                "a < b => false",
                "a < b => a <= b",
                "a < b => a >= b",
                "a < b => a == b",
                "g(); => "
            ]
        );
    }

    #[test]
    fn what_only_a_planted_bug_would_do_is_no_rule() {
        assert_eq!(
            found(
                "fn f(a: bool) { if planted!(of x, Bug) && a { g(); } let on = planted!(of x, Bug); h(a || on); }"
            ),
            ["the body => return", "h(a || on); => ", "a => false"]
        );
    }

    #[test]
    fn tests_and_what_shows_values_hold_no_rules() {
        assert_eq!(found("#[cfg(test)] mod tests { fn f() { g(); } }"), [""; 0]);
        assert_eq!(found("impl fmt::Debug for A { fn fmt(&self) -> bool { self.a == 1 } }"), [""; 0]);
        assert_eq!(found("#[cfg(feature = \"planted-bugs\")] fn f() { g(); }"), [""; 0]);
    }
}

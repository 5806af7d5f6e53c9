//! What is known before anything runs: no bug is planted in this build.

use std::collections::BTreeMap;

use syn::{BinOp, Expr, Lit, UnOp};

/// Variables of a function whose value is known.
pub(crate) type Known = BTreeMap<String, bool>;

/// The value of an expression, where the planted bugs alone decide it.
pub(crate) fn value(expression: &Expr, known: &Known) -> Option<bool> {
    match expression {
        Expr::Macro(call) => call.mac.path.is_ident("planted").then_some(false),
        Expr::Paren(inner) => value(&inner.expr, known),
        Expr::Unary(unary) if matches!(unary.op, UnOp::Not(_)) => value(&unary.expr, known).map(|is| !is),
        Expr::Binary(binary) => {
            let (left, right) = (value(&binary.left, known), value(&binary.right, known));
            let decides = match binary.op {
                BinOp::And(_) => false,
                BinOp::Or(_) => true,
                _ => return None,
            };
            if left == Some(decides) || right == Some(decides) { Some(decides) } else { left.and(right) }
        }
        Expr::Path(path) => path.path.get_ident().and_then(|name| known.get(&name.to_string()).copied()),
        _ => None,
    }
}

/// Whether it is `true` or `false` as written.
pub(crate) fn is_literal(expression: &Expr) -> bool {
    matches!(expression, Expr::Lit(literal) if matches!(literal.lit, Lit::Bool(_)))
}

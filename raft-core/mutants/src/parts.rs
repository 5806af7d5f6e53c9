//! Parts of a syntax tree that several changes look at.

use syn::{Attribute, BinOp, Expr, ExprBinary, Pat, ReturnType, Type};

/// Whether the code is only there in tests, or where bugs are planted.
pub(crate) fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else { return false };
        let condition = list.tokens.to_string();
        list.path.is_ident("cfg")
            && !condition.starts_with("not")
            && (condition.contains("test") || condition.contains("planted-bugs"))
    })
}

/// Whether the trait says how values are shown.
pub(crate) fn is_for_show(block: &syn::ItemImpl) -> bool {
    let shows = |name: &str| matches!(name, "Debug" | "Display" | "Error");
    block
        .trait_
        .as_ref()
        .and_then(|(_, path, _)| path.segments.last())
        .is_some_and(|last| shows(&last.ident.to_string()))
}

/// The name of a type, without what it is over.
pub(crate) fn type_name(of: &Type) -> Option<String> {
    match of {
        Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
        _ => None,
    }
}

/// The name of a variable that a `let` binds.
pub(crate) fn bound(pattern: &Pat) -> Option<String> {
    match pattern {
        Pat::Ident(name) => Some(name.ident.to_string()),
        _ => None,
    }
}

/// What a function may return at once instead of doing its work; the empty text where it returns nothing.
pub(crate) fn defaults(output: &ReturnType) -> Vec<&'static str> {
    let ReturnType::Type(_, output) = output else { return vec![""] };
    let Type::Path(path) = &**output else { return Vec::new() };
    let Some(last) = path.path.segments.last() else { return Vec::new() };
    match last.ident.to_string().as_str() {
        "bool" => vec!["true", "false"],
        "Option" => vec!["None"],
        "Result" => vec!["Ok(Default::default())"],
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => vec!["0", "1"],
        "Self" => Vec::new(),
        _ => vec!["Default::default()"],
    }
}

/// Whether a `let` is among what is joined by `&&`.
pub(crate) fn has_let(expression: &Expr) -> bool {
    match expression {
        Expr::Let(_) => true,
        Expr::Binary(ExprBinary { left, op: BinOp::And(_), right, .. }) => has_let(left) || has_let(right),
        Expr::Paren(inner) => has_let(&inner.expr),
        _ => false,
    }
}

/// What else an operator could have been.
pub(crate) fn neighbours(operator: &BinOp) -> &'static [&'static str] {
    match operator {
        BinOp::Lt(_) => &["<=", ">=", "=="],
        BinOp::Le(_) => &["<", ">", "=="],
        BinOp::Gt(_) => &[">=", "<=", "=="],
        BinOp::Ge(_) => &[">", "<", "=="],
        BinOp::Eq(_) => &["!="],
        BinOp::Ne(_) => &["=="],
        BinOp::And(_) => &["||"],
        BinOp::Or(_) => &["&&"],
        BinOp::Add(_) => &["-"],
        BinOp::Sub(_) => &["+"],
        BinOp::Mul(_) => &["/"],
        BinOp::Div(_) => &["*"],
        BinOp::Rem(_) => &["/"],
        BinOp::AddAssign(_) => &["-="],
        BinOp::SubAssign(_) => &["+="],
        BinOp::BitOrAssign(_) => &["&="],
        BinOp::BitAndAssign(_) => &["|="],
        _ => &[],
    }
}

/// What else a method could have been.
pub(crate) fn other_method(name: &str) -> Option<&'static str> {
    Some(match name {
        "min" => "max",
        "max" => "min",
        "any" => "all",
        "all" => "any",
        "is_some_and" => "is_none_or",
        "is_none_or" => "is_some_and",
        "saturating_sub" => "saturating_add",
        "saturating_add" => "saturating_sub",
        _ => return None,
    })
}

/// Whether a method takes a closure that decides.
pub(crate) fn asks(method: &str) -> bool {
    matches!(
        method,
        "filter"
            | "any"
            | "all"
            | "find"
            | "position"
            | "take_while"
            | "skip_while"
            | "is_some_and"
            | "is_none_or"
            | "retain"
            | "partition"
            | "partition_point"
    )
}

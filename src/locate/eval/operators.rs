//! Operators of conditions and counts.

use std::rc::Rc;

use super::{super::syntax::Operator, Answer, Eval, Expr, Place, Scope, Stop, Value};

impl<'t> Eval<'t> {
    pub(super) fn operation(
        &self,
        operator: Operator,
        left: &'t Expr,
        right: &'t Expr,
        place: &Place,
        scope: &Rc<Scope<'t>>,
    ) -> Answer<'t> {
        let (a, b) = (self.value(left, scope), self.value(right, scope));
        if let Operator::And | Operator::Or = operator {
            // One side may be enough.
            let decides = operator == Operator::Or;
            let truth = |side: &Answer<'t>| side.as_ref().ok().and_then(Value::truth);
            return match (truth(&a), truth(&b)) {
                (Some(a), _) if a == decides => Ok(Value::Bool(decides)),
                (_, Some(b)) if b == decides => Ok(Value::Bool(decides)),
                (Some(_), Some(_)) => Ok(Value::Bool(!decides)),
                _ => Err(a.err().or(b.err()).unwrap_or_else(|| Stop::at(place, "is neither true nor false"))),
            };
        }
        let (a, b) = (a?, b?);
        if let Operator::Equal | Operator::NotEqual = operator {
            return match a.equals(&b) {
                Some(equal) => Ok(Value::Bool(equal == (operator == Operator::Equal))),
                None => Err(Stop::at(place, "compares values of different or composed types")),
            };
        }
        let (Some(a), Some(b)) = (a.number(), b.number()) else {
            return Err(Stop::at(place, "computes with something that is not a number"));
        };
        Ok(match operator {
            Operator::Less => Value::Bool(a < b),
            Operator::LessOrEqual => Value::Bool(a <= b),
            Operator::More => Value::Bool(a > b),
            Operator::MoreOrEqual => Value::Bool(a >= b),
            Operator::Plus => Value::Number(a + b),
            Operator::Minus => Value::Number(a - b),
            Operator::Times => Value::Number(a * b),
            Operator::Divide if b != 0.0 => Value::Number(a / b),
            Operator::Modulo if b != 0.0 => Value::Number(a % b),
            Operator::Divide | Operator::Modulo => return Err(Stop::fails(place, "divides by zero")),
            // Were handled above.
            Operator::Equal | Operator::NotEqual | Operator::And | Operator::Or => {
                return Err(Stop::at(place, "is not evaluated"));
            }
        })
    }
}

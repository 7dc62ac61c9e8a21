//! A graph of ONNX being built: named values, the operations that make them, what goes in and out.
//!
//! Field numbers are those of [`onnx.proto`](https://github.com/onnx/onnx/blob/main/onnx/onnx.proto);
//! operators are those of [`OPSET`] and of `ai.onnx.ml` [`ML_OPSET`].

use super::protobuf::Message;
use std::collections::HashSet;

/// The version of the file format: that of the release which brought [`OPSET`].
const IR_VERSION: i64 = 8;
/// The version of the operators. Runtimes from 2022 on have it.
const OPSET: i64 = 17;
/// The version of the operators for texts.
const ML_OPSET: i64 = 3;
const ML_DOMAIN: &str = "ai.onnx.ml";
/// The name of the dimension that counts the rows.
pub(super) const ROWS: &str = "rows";

/// The type of a tensor's elements, with its number in the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Float = 1,
    Int64 = 7,
    Text = 8,
    Bool = 9,
    Double = 11,
}

impl Type {
    /// As `TensorProto` and runtimes call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Int64 => "int64",
            Self::Text => "string",
            Self::Bool => "bool",
            Self::Double => "double",
        }
    }
}

/// A value of the graph, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value(String);

impl Value {
    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.0
    }
}

/// A setting of an operation.
#[derive(Debug, Clone)]
pub(super) enum Attribute {
    Int(i64),
    Float(f32),
    Ints(Vec<i64>),
    Texts(Vec<String>),
}

/// A graph being built.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: Vec<Message>,
    constants: Vec<Message>,
    inputs: Vec<Message>,
    outputs: Vec<Message>,
    names: HashSet<String>,
}

impl Graph {
    /// An input, `[rows, 1]`. Its name is changed only if another value has it.
    pub(super) fn input(&mut self, name: &str, of: Type, meaning: &str) -> Value {
        let name = self.unused(name);
        self.inputs.push(value_info(&name, of, 1, meaning));
        Value(name)
    }

    /// Gives `value`, `[rows, width]`, out as `name`; returns the name, which is changed only if another
    /// value has it.
    pub(super) fn output(
        &mut self,
        value: &Value,
        name: &str,
        of: Type,
        width: usize,
        meaning: &str,
    ) -> String {
        let name = self.unused(name);
        self.nodes.push(node("Identity", "", &[value], &[&name], &[]));
        self.outputs.push(value_info(&name, of, width, meaning));
        name
    }

    /// The result of an operation.
    pub(super) fn op(&mut self, operator: &str, inputs: &[&Value]) -> Value {
        self.op_with(operator, inputs, &[])
    }

    /// The result of an operation with settings.
    pub(super) fn op_with(
        &mut self,
        operator: &str,
        inputs: &[&Value],
        settings: &[(&str, Attribute)],
    ) -> Value {
        let domain = if operator == "LabelEncoder" { ML_DOMAIN } else { "" };
        let name = self.numbered(operator);
        self.nodes.push(node(operator, domain, inputs, &[&name], settings));
        Value(name)
    }

    /// The `n` smallest values of each row, ascending: `[rows, m] -> [rows, n]`.
    pub(super) fn smallest_of_rows(&mut self, value: &Value, n: usize) -> Value {
        let n = self.int64s(&[1], vec![n as i64]);
        let (values, indices) = (self.numbered("TopK"), self.numbered("TopK_indices"));
        let settings = [("axis", Attribute::Int(1)), ("largest", Attribute::Int(0))];
        self.nodes.push(node("TopK", "", &[value, &n], &[&values, &indices], &settings));
        Value(values)
    }

    /// `value` as another type.
    pub(super) fn cast(&mut self, value: &Value, to: Type) -> Value {
        self.op_with("Cast", &[value], &[("to", Attribute::Int(to as i64))])
    }

    /// `values` side by side along `axis`; one alone stays as it is.
    pub(super) fn concat(&mut self, values: &[Value], axis: i64) -> Value {
        if let [only] = values {
            return only.clone();
        }
        let values: Vec<&Value> = values.iter().collect();
        self.op_with("Concat", &values, &[("axis", Attribute::Int(axis))])
    }

    /// The sum of each row, `[rows, n] -> [rows, 1]`.
    pub(super) fn sum_of_rows(&mut self, value: &Value) -> Value {
        let axis = self.int64s(&[1], vec![1]);
        self.op("ReduceSum", &[value, &axis])
    }

    /// The largest value of each row, `[rows, n] -> [rows, 1]`.
    pub(super) fn max_of_rows(&mut self, value: &Value) -> Value {
        self.op_with("ReduceMax", &[value], &[("axes", Attribute::Ints(vec![1]))])
    }

    /// Whether anything in each row is true, `[rows, n] -> [rows, 1]`.
    pub(super) fn any_of_rows(&mut self, value: &Value) -> Value {
        let numbers = self.cast(value, Type::Float);
        let most = self.max_of_rows(&numbers);
        self.cast(&most, Type::Bool)
    }

    /// Whether each number is finite: neither missing nor infinite.
    pub(super) fn is_finite(&mut self, value: &Value) -> Value {
        let size = self.op("Abs", &[value]);
        let largest = self.double(f64::MAX);
        // False for NaN too.
        self.op("LessOrEqual", &[&size, &largest])
    }

    /// One double.
    pub(super) fn double(&mut self, value: f64) -> Value {
        self.doubles(&[], vec![value])
    }

    /// One float.
    pub(super) fn float(&mut self, value: f32) -> Value {
        self.floats(&[], vec![value])
    }

    /// Doubles, row-major.
    pub(super) fn doubles(&mut self, dims: &[usize], values: Vec<f64>) -> Value {
        self.raw(Type::Double, dims, values.len(), values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// Floats, row-major.
    pub(super) fn floats(&mut self, dims: &[usize], values: Vec<f32>) -> Value {
        self.raw(Type::Float, dims, values.len(), values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// Integers, row-major.
    pub(super) fn int64s(&mut self, dims: &[usize], values: Vec<i64>) -> Value {
        self.raw(Type::Int64, dims, values.len(), values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// Booleans, row-major.
    pub(super) fn bools(&mut self, dims: &[usize], values: Vec<bool>) -> Value {
        self.raw(Type::Bool, dims, values.len(), values.iter().map(|v| u8::from(*v)).collect())
    }

    /// Texts, `[values.len()]`.
    pub(super) fn texts(&mut self, values: &[String]) -> Value {
        let name = self.numbered("constant");
        let tensor = tensor(&name, Type::Text, &[values.len()]).texts(6, values);
        self.constants.push(tensor);
        Value(name)
    }

    fn raw(&mut self, of: Type, dims: &[usize], n: usize, bytes: Vec<u8>) -> Value {
        assert_eq!(dims.iter().product::<usize>(), n, "a constant has as many numbers as its shape says");
        let name = self.numbered("constant");
        self.constants.push(tensor(&name, of, dims).bytes(9, &bytes));
        Value(name)
    }

    /// The file: a `ModelProto`, with `properties` for whoever looks into it.
    pub(super) fn into_bytes(self, version: &str, meaning: &str, properties: &[(&str, String)]) -> Vec<u8> {
        let opset = |domain: &str, version: i64| Message::default().text(1, domain).integer(2, version);
        let graph = Message::default()
            .messages(1, &self.nodes)
            .text(2, "taqicfd")
            .messages(5, &self.constants)
            .messages(11, &self.inputs)
            .messages(12, &self.outputs);
        let properties: Vec<Message> =
            properties.iter().map(|(key, value)| Message::default().text(1, key).text(2, value)).collect();
        let model = Message::default()
            .integer(1, IR_VERSION)
            .text(2, "taqicfd")
            .text(3, version)
            .text(6, meaning)
            .message(7, &graph)
            .messages(8, &[opset("", OPSET), opset(ML_DOMAIN, ML_OPSET)])
            .messages(14, &properties);
        model.into_bytes()
    }

    /// A name for a value inside: users' columns have no such names, and if they do, theirs is kept.
    fn numbered(&mut self, what: &str) -> String {
        let n = self.nodes.len() + self.constants.len();
        self.unused(&format!("taqicfd/{what}_{n}"))
    }

    fn unused(&mut self, name: &str) -> String {
        let mut name = if name.is_empty() { "column".to_owned() } else { name.to_owned() };
        while !self.names.insert(name.clone()) {
            name.push('_');
        }
        name
    }
}

fn node(
    operator: &str,
    domain: &str,
    inputs: &[&Value],
    outputs: &[&str],
    settings: &[(&str, Attribute)],
) -> Message {
    let settings: Vec<Message> = settings.iter().map(|(name, value)| attribute(name, value)).collect();
    let message = Message::default()
        .texts(1, inputs.iter().map(|value| &value.0))
        .texts(2, outputs)
        .text(3, outputs[0])
        .text(4, operator)
        .messages(5, &settings);
    if domain.is_empty() { message } else { message.text(7, domain) }
}

fn attribute(name: &str, value: &Attribute) -> Message {
    let message = Message::default().text(1, name);
    match value {
        Attribute::Float(value) => message.float(2, *value).integer(20, 1),
        Attribute::Int(value) => message.integer(3, *value).integer(20, 2),
        Attribute::Ints(values) => message.integers(8, values.iter().copied()).integer(20, 7),
        Attribute::Texts(values) => message.texts(9, values).integer(20, 8),
    }
}

fn tensor(name: &str, of: Type, dims: &[usize]) -> Message {
    let message = Message::default().integers(1, dims.iter().map(|n| *n as i64));
    message.integer(2, of as i64).text(8, name)
}

/// `[rows, width]` of a type.
fn value_info(name: &str, of: Type, width: usize, meaning: &str) -> Message {
    let rows = Message::default().text(2, ROWS);
    let columns = Message::default().integer(1, width as i64);
    let shape = Message::default().messages(1, &[rows, columns]);
    let tensor = Message::default().integer(1, of as i64).message(2, &shape);
    let of = Message::default().message(1, &tensor);
    Message::default().text(1, name).message(2, &of).text(3, meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_users_are_kept_and_names_inside_give_way() {
        let mut graph = Graph::default();
        let user = graph.input("taqicfd/Add_0", Type::Double, "");
        assert_eq!(user.0, "taqicfd/Add_0");
        let sum = graph.op("Add", &[&user, &user]);
        assert_eq!(sum.0, "taqicfd/Add_0_");
        assert_eq!(graph.output(&sum, "taqicfd/Add_0", Type::Double, 1, ""), "taqicfd/Add_0__");
        assert_eq!(graph.output(&sum, "", Type::Double, 1, ""), "column");
    }

    #[test]
    #[should_panic(expected = "as its shape says")]
    fn a_constant_of_the_wrong_size_is_a_bug() {
        Graph::default().floats(&[2, 3], vec![0.0; 5]);
    }
}

//! The number formats of GGUF tensors: their numbers in the file, their names, and how many bytes a block of them takes.

/// A number format whose values can be computed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GgmlType {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of a single.
    BF16,
    /// 4 bits, one scale for 32 values.
    Q4_0,
    /// 4 bits, scale and least value for 32 values.
    Q4_1,
    /// 5 bits, one scale for 32 values.
    Q5_0,
    /// 5 bits, scale and least value for 32 values.
    Q5_1,
    /// 8 bits, one scale for 32 values.
    Q8_0,
    /// 2 bits, scales of scales for 256 values.
    Q2K,
    /// 3 bits, scales of scales for 256 values.
    Q3K,
    /// 4 bits, scales of scales for 256 values.
    Q4K,
    /// 5 bits, scales of scales for 256 values.
    Q5K,
    /// 6 bits, scales of scales for 256 values.
    Q6K,
}

/// Number in the file, name, values of a block, bytes of a block.
type Row = (GgmlType, u32, &'static str, usize, usize);

const ROWS: [Row; 13] = [
    (GgmlType::F32, 0, "F32", 1, 4),
    (GgmlType::F16, 1, "F16", 1, 2),
    (GgmlType::BF16, 30, "BF16", 1, 2),
    (GgmlType::Q4_0, 2, "Q4_0", 32, 18),
    (GgmlType::Q4_1, 3, "Q4_1", 32, 20),
    (GgmlType::Q5_0, 6, "Q5_0", 32, 22),
    (GgmlType::Q5_1, 7, "Q5_1", 32, 24),
    (GgmlType::Q8_0, 8, "Q8_0", 32, 34),
    (GgmlType::Q2K, 10, "Q2_K", 256, 84),
    (GgmlType::Q3K, 11, "Q3_K", 256, 110),
    (GgmlType::Q4K, 12, "Q4_K", 256, 144),
    (GgmlType::Q5K, 13, "Q5_K", 256, 176),
    (GgmlType::Q6K, 14, "Q6_K", 256, 210),
];

/// Formats of the specification that are not implemented, for the error that names them.
const OTHERS: [(u32, &str); 21] = [
    (9, "Q8_1"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
    (40, "NVFP4"),
    (41, "Q1_0"),
];

impl GgmlType {
    /// The format with this number, or the text of an error that names it and what is supported.
    pub(super) fn from_id(id: u32) -> Result<Self, String> {
        if let Some(row) = ROWS.iter().find(|row| row.1 == id) {
            return Ok(row.0);
        }
        let name = OTHERS.iter().find(|(other, _)| *other == id).map_or("unknown", |(_, name)| name);
        let supported: Vec<&str> = ROWS.iter().map(|row| row.2).collect();
        Err(format!("is stored as {name} (type {id}); supported are {}", supported.join(", ")))
    }

    /// The name in GGUF's documentation, for example `Q4_K`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().2
    }

    /// Values of one block; rows of a tensor hold whole blocks.
    #[must_use]
    pub fn block_values(self) -> usize {
        self.row().3
    }

    /// Bytes of one block.
    #[must_use]
    pub fn block_bytes(self) -> usize {
        self.row().4
    }

    fn row(self) -> &'static Row {
        // The rows stand in the order of the variants, which a test checks.
        &ROWS[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_the_variants() {
        for (index, row) in ROWS.iter().enumerate() {
            assert_eq!(row.0 as usize, index);
            assert_eq!(GgmlType::from_id(row.1), Ok(row.0));
        }
    }

    #[test]
    fn what_is_not_implemented_is_named() {
        let error = GgmlType::from_id(23).unwrap_err();
        assert!(error.contains("IQ4_XS") && error.contains("Q4_K"), "{error}");
        assert!(GgmlType::from_id(99).unwrap_err().contains("unknown (type 99)"));
    }
}

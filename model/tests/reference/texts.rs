//! Texts to try tokenizers on.

/// Texts that tokenizers stumble over, then random mixtures of their parts; always the same.
pub fn nasty_texts(count: usize) -> Vec<String> {
    let parts = [
        "def f(x):\n\treturn x**2  # done\r\n",
        "東京タワー、한국어 العربية",
        "🙂👩‍👩‍👧‍👦🏳️‍🌈",
        "\u{0}\u{1}\u{7f}\u{1b}[0m",
        "        ",
        "\n\n\n \n",
        "1234567890 3.14159e-10 0x1F",
        "٣٤٥ ½ Ⅷ 五",
        "don't WON'T I'll we'Ve",
        "<|im_start|>user",
        "<|im_end|>",
        "</s><s>",
        "naïve cafe\u{301}",
        "\u{a0}\u{2003}\u{200b}",
        "a_b-c.d/e\\f",
        "https://x.y/?q=1&r=%20",
        "ﬁ ẞ ǅ",
        " x",
        "x ",
        "",
        "--==>>!!??",
        "\t\t",
    ];
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut next = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut texts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
    while texts.len() < count {
        let mut text = String::new();
        for _ in 0..1 + next(6) {
            match next(3) {
                0 => text.extend(char::from_u32(next(0x3000) as u32)),
                1 => text.push_str(&" ".repeat(next(5))),
                _ => text.push_str(parts[next(parts.len())]),
            }
        }
        texts.push(text);
    }
    texts
}

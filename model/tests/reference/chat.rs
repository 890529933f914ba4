//! Chat templates: the text must be that of `apply_chat_template`, byte for byte.

use galapagos_model::{ChatMessage, ChatTemplate};
use serde_json::{Value, json};

use crate::python::{ask, smollm2};

/// Idioms of published templates: Python methods, slices, namespaces, loop variables and controls, filters, tests, macros.
const TEMPLATES: [&str; 5] = [
    "{% for message in messages %}\n    {%- if loop.first and message['role'] != 'system' -%}\n        {{ bos_token }}\n    {%- endif %}\n    {{ '<|' ~ message.role|upper ~ '|>' + message['content'].strip() + eos_token }}\n{% endfor %}\n",
    "{%- if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}{% set rest = messages[1:] %}{% else %}{% set system = none %}{% set rest = messages %}{% endif -%}\n{% for m in rest %}{% if loop.last and system is not none %}[INST] <<SYS>>{{ system }}<</SYS>>{% endif %}{{ m.content | trim }} {{ loop.index0 }}{% if not loop.last %}, {% endif %}{% endfor %}",
    "{% set ns = namespace(found=false, count=0) %}{% for m in messages %}{% if m.role == 'assistant' %}{% set ns.found = true %}{% continue %}{% endif %}{% set ns.count = ns.count + 1 %}{{ m | tojson }}{{ m.content.split('\\n')[-1].lstrip().replace('a', 'A') }}{% endfor %}{{ ns.found }} {{ ns.count }}",
    "{% macro turn(m) %}<{{ m.role }}>{{ m.get('content') }}</{{ m.role }}>{% endmacro %}{% for m in messages %}{{ turn(m) }}{% for key, value in m.items() %}{{ key.title() }}={{ value | length }};{% endfor %}{% endfor %}{{ messages | map(attribute='role') | join('-') }}{% if add_generation_prompt %}{{ '\\n<assistant>' }}{% endif %}",
    "{% for m in messages if m.role in ['user', 'assistant'] %}{{ raise_exception('empty') if m.content is undefined }}{{ m.content.startswith('H') }}{{ m.content[:3] }}{{ m.content[::-1] }}{% if tools is defined and tools %}T{% endif %}{% break %}{% endfor %}{{ {'b': [1, 2.5, none, true], 'a': 'x<y>'} | tojson(indent=2) }}",
];

#[test]
fn reference_chat_templates() {
    let folder = smollm2();
    let conversations = [
        vec![ChatMessage::new("user", "Hello, who are you?")],
        vec![
            ChatMessage::new("system", "Be brief."),
            ChatMessage::new("user", "  What is 2 + 2?\n a banana  "),
            ChatMessage::new("assistant", "4 <b>\"quoted\"</b> é"),
            ChatMessage::new("user", "Why?"),
        ],
    ];
    let templates: Vec<Value> = std::iter::once(Value::Null).chain(TEMPLATES.map(Value::from)).collect();
    // As text, which keeps the order of the fields: a template can see it.
    let text = serde_json::to_string(&conversations).unwrap();
    let request = json!({"do": "chat", "folder": folder.path(), "templates": templates, "conversations": text});
    let expected: Vec<String> = serde_json::from_value(ask(&[request]).remove(0)).unwrap();

    let tokenizer = folder.tokenizer();
    let special = [("bos_token", "<|im_start|>"), ("eos_token", "<|im_end|>")]
        .map(|(name, token)| (name.to_owned(), token.to_owned()));
    let others = TEMPLATES.map(|source| ChatTemplate::new(source.to_owned(), special.clone().into()).unwrap());
    let own = tokenizer.chat_template().unwrap();
    let mut found = Vec::new();
    for template in std::iter::once(own).chain(&others) {
        for conversation in &conversations {
            for prompt in [false, true] {
                found.push(template.apply(conversation, prompt).unwrap());
            }
        }
    }
    for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_eq!(found, expected, "template {} of {}", index / 4, others.len() + 1);
    }
    assert_eq!(found.len(), expected.len());
    let tokens = tokenizer.encode_chat(&conversations[0], true).unwrap();
    assert_eq!(tokenizer.decode_with_special(&tokens).unwrap(), expected[1]);
}

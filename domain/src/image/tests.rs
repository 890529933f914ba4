//! Images there and back, by hand and over random pixels.

use proptest::prelude::*;

use super::*;

#[test]
fn a_patch_is_its_pixels() {
    let patch = Patch { pixels: 0b1000_0000_0000_0001, ends_row: false };
    assert_eq!((patch.code(), patch.character()), (0xF_8001, '\u{F8001}'));
    let last = Patch { pixels: u16::MAX, ends_row: true };
    assert_eq!(last.character(), char::MAX);
    for code in [0, 0x41, 0xE000, 0xE_FFFF, 0x11_0000, u32::MAX] {
        assert_eq!(Patch::of_code(code), None, "{code:#x}");
    }
}

#[test]
fn pixels_lie_where_they_were_put() {
    let mut image = Image::blank(9, 4);
    assert_eq!((image.width(), image.height()), (12, 4));
    image.flip(5, 2);
    image.flip(0, 0);
    image.flip(11, 3);
    image.flip(99, 0);
    let text: Vec<u32> = image.text().chars().map(u32::from).collect();
    assert_eq!(text, [0xF_0001, 0xF_0000 + (1 << 9), 0x10_0000 + (1 << 15)]);
    assert!(image.ink(5, 2) && !image.ink(2, 5));
    assert_eq!(image.drawn(), "▀\n     ▀     ▄\n");
}

#[test]
fn places_are_counted_from_the_first_patch_of_each_image() {
    let text = format!("ab{}c{}", Image::blank(8, 8).text(), Image::blank(4, 8).text());
    let mut places = Places::default();
    let found: Vec<_> = text.chars().map(|c| places.next(u32::from(c)).map(|(_, at)| (at.row, at.column))).collect();
    let some = |row, column| Some((row, column));
    let expected = [None, None, some(0, 0), some(0, 1), some(1, 0), some(1, 1), None, some(0, 0), some(1, 0)];
    assert_eq!(found, expected);
}

#[test]
fn people_see_sizes_or_drawings() {
    let mut image = Image::blank(4, 4);
    image.flip(1, 1);
    let text = format!("Q: {}\nA:", image.text());
    assert_eq!(named(&text), "Q: [image 4x4]\nA:");
    assert_eq!(drawn(&text), "Q: \n ▄\n\n\nA:");
    assert!(matches!(named("no image"), Cow::Borrowed("no image")));
    assert_eq!(named("a\u{F0001}\u{F0001}"), "a[2 patches of no image]");
}

#[test]
fn what_is_no_image_is_told() {
    assert_eq!(Image::read(""), Err(ImageError::Open { patches: 0 }));
    assert_eq!(Image::read("\u{F0000}"), Err(ImageError::Open { patches: 1 }));
    assert_eq!(Image::read("\u{100000}x"), Err(ImageError::Foreign { character: 'x' }));
    let ragged = "\u{100000}\u{F0000}\u{100000}";
    assert_eq!(Image::read(ragged), Err(ImageError::Ragged { row: 2, found: 2, first: 1 }));
}

proptest! {
    #[test]
    fn an_image_comes_back_from_its_text(width in 1u32..40, height in 1u32..20, ink in prop::collection::vec((0u32..40, 0u32..20), 0..60)) {
        let mut image = Image::blank(width, height);
        ink.iter().for_each(|(x, y)| image.flip(*x, *y));
        prop_assert_eq!(Image::read(&image.text()).unwrap(), image);
    }
}

for (const box of document.querySelectorAll(".trees")) {
  box.addEventListener("click", (event) => {
    const show = event.target.dataset.show;
    if (!show) return;
    for (const part of box.querySelectorAll("details")) {
      const holds = part.matches(".right") || part.querySelector(".right") !== null;
      part.open = show === "all" || (show === "right" && holds);
    }
    for (const part of box.querySelectorAll(".inner, .leaf")) {
      part.hidden = show === "right" && !part.matches(".right");
    }
  });
}

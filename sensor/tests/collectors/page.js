(() => {
  const problems = [];
  const ground = getComputedStyle(document.body).backgroundColor;
  const parts = (color) => color.match(/[\d.]+/g).map(Number);
  const light = (color) => {
    const [red, green, blue] = parts(color).map((part) => {
      const value = part / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  // WCAG 2.2, 1.4.3.
  const contrast = (a, b) => {
    const [low, high] = [light(a), light(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  for (const element of document.querySelectorAll("p, li, a, td, th, dt, dd, h1, h2, caption, figcaption, button, svg text")) {
    const style = getComputedStyle(element);
    const color = element instanceof SVGElement ? style.fill : style.color;
    if (contrast(color, ground) < 4.5) problems.push(`contrast of ${element.tagName} ${color} on ${ground}`);
  }
  const drawings = [...document.querySelectorAll("figure .drawings svg")];
  for (const drawing of drawings) {
    const name = drawing.getAttribute("aria-labelledby");
    const box = drawing.getBoundingClientRect();
    if (box.width < 50 || box.height < 20) problems.push(`size of ${name}: ${box.width} x ${box.height}`);
    const texts = [...drawing.querySelectorAll("text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
    texts.forEach(([text, at], place) => {
      if (at.left < box.left - 1 || at.right > box.right + 1 || at.top < box.top - 1 || at.bottom > box.bottom + 1) {
        problems.push(`${name}: "${text}" is cut off`);
      }
      // Boxes are as high as letters with accents are; those of neighbouring lines may touch.
      const slack = at.height / 6;
      for (const [other, there] of texts.slice(place + 1)) {
        const beside = at.left >= there.right || there.left >= at.right;
        const below = at.top >= there.bottom - slack || there.top >= at.bottom - slack;
        if (!beside && !below) problems.push(`${name}: "${text}" lies on "${other}"`);
      }
    });
  }
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) {
    const wide = [...document.querySelectorAll("table, figure, p")].filter((part) => part.getBoundingClientRect().right > root.clientWidth);
    const names = wide.map((part) => `${part.tagName} ${part.id}`).join(", ");
    problems.push(`${root.scrollWidth} px on a page of ${root.clientWidth}: ${names}`);
  }
  return {
    problems: problems.slice(0, 20),
    figures: [...document.querySelectorAll("figure")].map((figure) => figure.id),
    buttons: document.querySelectorAll("th button").length,
  };
})()

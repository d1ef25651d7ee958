// Draws what Python sends twice a second, in place: nothing is rebuilt, so nothing flickers.

export default function ({ data, parentElement }) {
  const find = (selector) => parentElement.querySelector(selector)
  find(".fill").style.width = `${100 * data.level.share}%`
  find(".meter .said").textContent = data.level.said
  const meter = find(".meter .track")
  meter.setAttribute("aria-valuenow", Math.round(100 * data.level.share))
  meter.setAttribute("aria-valuetext", data.level.said)
  emotions(find(".emotions"), data)
  roll(find(".roll canvas"), data)
  waveform(find(".waveform canvas"), data.waveform)
  mel(find(".mel"), data.mel)
}

function emotions(grid, { emotions, faint }) {
  emotions.forEach(({ name, colour, share, said, likeliest }, row) => {
    let label = grid.querySelector(`.name[data-row="${row}"]`)
    let now = grid.querySelector(`.now[data-row="${row}"]`)
    if (!label) {
      label = grid.appendChild(element("div", "name", row))
      now = grid.appendChild(element("div", "now", row))
      now.append(element("div", "bar", row), element("span", "said", row))
      for (const cell of [label, now]) cell.style.gridRow = row + 2
    }
    label.textContent = name
    now.classList.toggle("likeliest", likeliest)
    label.classList.toggle("likeliest", likeliest)
    const [bar, text] = now.children
    bar.style.width = `${7.5 * share}rem`
    bar.style.background = colour
    bar.classList.toggle("faint", faint)
    text.textContent = said
  })
}

function element(tag, name, row) {
  const made = document.createElement(tag)
  made.className = name
  made.dataset.row = row
  return made
}

const bytes = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))

const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16))

// One pixel a column and emotion; the likelier, the less transparent.
function roll(canvas, { emotions, roll: { columns, alt, values } }) {
  const alpha = bytes(values)
  const image = new ImageData(columns, emotions.length)
  emotions.forEach(({ colour }, row) => {
    const rgb = channels(colour)
    for (let column = 0; column < columns; column++) {
      const at = row * columns + column
      image.data.set([...rgb, alpha[at]], 4 * at)
    }
  })
  put(canvas, image, alt)
}

function waveform(canvas, { alt, colour, lowest, highest }) {
  const [low, high] = [lowest, highest].map((values) => new Int8Array(bytes(values).buffer))
  const height = 101
  Object.assign(canvas, { width: 4 * low.length, height })
  canvas.setAttribute("aria-label", alt)
  const context = canvas.getContext("2d")
  context.fillStyle = colour
  const y = (value) => (height - 1) / 2 * (1 - value / 127)
  low.forEach((value, column) => {
    context.fillRect(4 * column, y(high[column]), 4, Math.max(y(value) - y(high[column]), 1))
  })
}

function mel(box, { columns, alt, values, palette, ticks }) {
  const levels = bytes(values)
  const bands = levels.length / columns
  const image = new ImageData(columns, bands)
  const colours = shades(palette.map(channels))
  levels.forEach((level, index) => {
    const band = index % bands
    const column = (index - band) / bands
    image.data.set([...colours[level], 255], 4 * ((bands - 1 - band) * columns + column))
  })
  put(box.querySelector("canvas"), image, alt)
  if (box.querySelector("span")) return
  for (const [text, share] of ticks) {
    const tick = box.appendChild(document.createElement("span"))
    tick.textContent = text
    tick.style.bottom = `${100 * share}%`
  }
}

// 256 colours, blended between the palette's.
function shades(palette) {
  return Array.from({ length: 256 }, (_, level) => {
    const place = (level / 255) * (palette.length - 1)
    const below = palette[Math.floor(place)]
    const above = palette[Math.ceil(place)]
    return below.map((value, channel) => value + (above[channel] - value) * (place % 1))
  })
}

function put(canvas, image, alt) {
  if (canvas.width !== image.width || canvas.height !== image.height) {
    Object.assign(canvas, { width: image.width, height: image.height })
  }
  canvas.getContext("2d").putImageData(image, 0, 0)
  canvas.setAttribute("aria-label", alt)
}
